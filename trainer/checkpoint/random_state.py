"""The random states of a rank: Python, numpy, torch on CPU and on the GPU."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import torch


def save_random_state(folder: Path, rank: int) -> None:
    """Write this rank's random states below a checkpoint; raises OSError or RuntimeError."""
    version, words, position = random.getstate()
    name, keys, *rest = np.random.get_state()  # the state that libraries draw from
    state = {
        "python": [version, list(words), position],
        "numpy": [name, torch.from_numpy(np.asarray(keys, dtype=np.int64)), *rest],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_initialized() else None,
    }
    torch.save(state, _file(folder, rank))


def restore_random_state(folder: Path, rank: int) -> None:
    """Take up the random states of a checkpoint."""
    state = torch.load(_file(folder, rank), map_location="cpu", weights_only=True)
    version, words, position = state["python"]
    random.setstate((version, tuple(words), position))
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    if state["cuda"] is not None and torch.cuda.is_initialized():
        torch.cuda.set_rng_state(state["cuda"])


def _file(folder: Path, rank: int) -> Path:
    return folder / f"random_rank_{rank:05d}.pt"
