"""Who sees whom: the sequences that a batch is cut into.

A token sees itself and what came before it in its own sequence. In full layers a sequence is a
document; in chunked layers every document is cut further, at its own multiples of the chunk. A
row of the batch ends whatever runs in it. So all that an execution needs is where sequences
begin: no mask of [S, S].

Shapes: B rows of S tokens, T = B × S tokens laid end to end, N sequences.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from transformers import Llama4TextConfig


@dataclass(frozen=True)
class Spans:
    """The sequences of one batch for one kind of layer.

    starts_N1: where each begins among the T tokens, and T at the end (int32, on the device);
    positions_BS: each token's position in its document (on the device); runs: the sequences'
    lengths in order, as (how many in a row, length).
    """

    starts_N1: torch.Tensor
    positions_BS: torch.Tensor
    runs: tuple[tuple[int, int], ...]

    @property
    def longest(self) -> int:
        """Tokens in the longest sequence."""
        return max(length for _, length in self.runs)


def attention_inputs(
    positions: torch.Tensor, config: Llama4TextConfig, device: torch.device | None = None
) -> dict[str, Any]:
    """What a model with converted attention wants besides its tokens: `position_ids` and
    `attention_mask`, the latter a dictionary of Spans by kind of layer, which Transformers hands
    to the layers as it is.

    positions: [B, S], of each token in its own document: 0 where one begins, else one more than
    the token before. On the CPU, else this waits for the device. device: where the model is, if
    elsewhere. Raises ValueError for positions that do not count.
    """
    positions_BS = positions.cpu().numpy()
    _check(positions_BS)
    on_device = positions.to(device or positions.device, non_blocking=True)
    full = _spans(boundaries(positions_BS, None), on_device)
    chunk = config.attention_chunk_size
    needs_cut = chunk is not None and int(positions_BS.max()) >= chunk
    chunked = _spans(boundaries(positions_BS, chunk), on_device) if needs_cut else full
    return {
        "position_ids": on_device,
        "attention_mask": {"full_attention": full, "chunked_attention": chunked},
    }


def boundaries(positions_BS: npt.NDArray[np.integer[Any]], chunk: int | None) -> list[int]:
    """Where sequences begin among the T tokens, and T at the end: at the first token of a row, of
    a document and, if chunk is given, of every `chunk` tokens of a document."""
    begins_BS = positions_BS % chunk == 0 if chunk else positions_BS == 0
    begins_BS[:, 0] = True
    return [*np.flatnonzero(begins_BS).tolist(), positions_BS.size]


def _spans(starts: list[int], positions_BS: torch.Tensor) -> Spans:
    lengths = np.diff(starts).tolist()
    starts_N1 = torch.tensor(starts, dtype=torch.int32)
    return Spans(
        starts_N1=starts_N1.to(positions_BS.device, non_blocking=True),
        positions_BS=positions_BS,
        runs=tuple((len(list(run)), length) for length, run in groupby(lengths)),
    )


def _check(positions_BS: npt.NDArray[np.integer[Any]]) -> None:
    if positions_BS.ndim != 2 or not positions_BS.size:
        raise ValueError(f"positions must be [batch, sequence], not {list(positions_BS.shape)}")
    before, after = positions_BS[:, :-1], positions_BS[:, 1:]
    if (positions_BS[:, 0] < 0).any() or not ((after == 0) | (after == before + 1)).all():
        raise ValueError("positions must be 0 at the start of a document and count up in it")
