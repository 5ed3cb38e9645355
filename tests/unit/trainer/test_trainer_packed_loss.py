"""The loss of packed rows, from the text on disk through batches and engine: that of each document
alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from trainer.batches import Batches
from trainer.contract import config as configuration
from trainer.data import packed
from trainer.engines.deepspeed import DeepSpeedEngine
from trainer.llama4 import build

CPU = torch.device("cpu")
TEXT = "the quick brown fox jumps over a lazy dog while every other animal sleeps and dreams"


def engine_of(model: torch.nn.Module) -> DeepSpeedEngine:
    """As far as a forward pass needs it; DeepSpeed itself would want other processes."""
    engine: Any = DeepSpeedEngine.__new__(DeepSpeedEngine)
    engine.module = engine._engine = model
    engine.device = CPU
    return engine  # type: ignore[no-any-return]


@pytest.mark.parametrize("moe", ["sparse", "stock"])
def test_it_is_the_mean_over_documents_that_are_alone(tmp_path: Path, moe: str) -> None:
    rng = np.random.default_rng(0)
    lines = [{"text": " ".join(rng.permutation(TEXT.split())[:n])} for n in range(1, 15)]
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    tiny = {"vocabulary": 512, "hidden": 32, "intermediate": 32, "experts": 2, "chunk": 16}
    config = configuration.build(
        {
            "model": {"tiny": tiny, "dtype": "float32"},
            "data": {"path": str(tmp_path / "data.jsonl"), "cache": str(tmp_path), "seq_len": 80},
            "train": {"micro_batch": 2},
            "moe": {"kind": moe},
        }
    )
    data = packed.load(packed.prepare(config))
    text = build.text_config(config, data.vocabulary)
    text.floor_scale = 4
    model = build.build(config, text)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.mul_(1 if "norm" in name else 5)
        (batch,) = Batches(config, data, 0, 1, CPU).of(1)
        found = engine_of(model).forward(
            batch.tokens, batch.labels, batch.predicted, batch.positions
        )
        losses = []
        for row, positions in zip(batch.tokens, batch.positions, strict=True):
            starts = [*torch.nonzero(positions == 0).flatten().tolist(), len(row)]
            assert len(starts) > 3, "rows hold several documents"
            for document in row.tensor_split(starts[1:-1]):
                logits = model(document[None]).logits[0]
                losses.append(functional.cross_entropy(logits[:-1], document[1:], reduction="none"))
    each = torch.cat(losses)
    assert len(each) == batch.predicted
    assert found.item() == pytest.approx(each.mean().item(), rel=1e-5)
