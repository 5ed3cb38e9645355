"""The expert counts that are shown are exact, with activation checkpointing on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from tests.e2e.desk import SMALL
from trainer.contract import presets

STEPS, ACCUMULATE, EVERY = 7, 2, 2


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Any], list[list[Any]]]:
    """The messages of a trainer that runs alone, and what each rank's routers decided."""
    folder = tmp_path_factory.mktemp("counts")
    settings = [f"train.steps={STEPS}", f"train.grad_accum={ACCUMULATE}", f"log.every={EVERY}"]
    settings += ["activation_checkpointing=full", "checkpoint.every=0"]
    config = msgspec.to_builtins(presets.resolve("tiny", [*SMALL, *settings]))
    (folder / "run.yaml").write_text(yaml.safe_dump({"config": config}))
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*launch, "-m", "tests.e2e.recording_trainer", str(folder / "run.yaml")],
        cwd=Path(__file__).parents[2],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    messages = [json.loads(line) for line in done.stdout.splitlines()]
    files = [(folder / f"{rank}.jsonl").read_text().splitlines() for rank in range(2)]
    return messages, [[json.loads(line) for line in lines] for lines in files]


def of(messages: list[Any], kind: str) -> list[Any]:
    return [message for message in messages if message["type"] == kind]


def test_each_layers_sum_equals_the_tokens_trained(recorded: tuple[list[Any], Any]) -> None:
    messages, _ = recorded
    windows = of(messages, "experts")
    assert sum(window["steps"] for window in windows) == STEPS
    trained = {step["step"]: step["tokens"] for step in of(messages, "step")}
    for window in windows:
        steps = range(window["step"] - window["steps"] + 1, window["step"] + 1)
        assert window["tokens"] == sum(trained[step] for step in steps)
        assert window["layers"] == [0, 1, 2, 3]
        for row in window["counts"]:
            assert len(row) == 16
            assert sum(row) == window["tokens"]


def test_they_equal_a_recount_of_every_decision(
    recorded: tuple[list[Any], list[list[Any]]],
) -> None:
    messages, ranks = recorded
    for calls in ranks:
        # The layers really were computed twice, or this test would prove nothing.
        assert sum(call["again"] for call in calls) == STEPS * ACCUMULATE * 4
        assert sum(not call["again"] for call in calls) == STEPS * ACCUMULATE * 4
    for window in of(messages, "experts"):
        steps = range(window["step"] - window["steps"] + 1, window["step"] + 1)
        for layer, row in zip(window["layers"], window["counts"], strict=True):
            recount: Counter[int] = Counter()
            for calls in ranks:
                first = [c for c in calls if not c["again"] and c["layer"] == layer]
                for step in steps:
                    for call in first[(step - 1) * ACCUMULATE : step * ACCUMULATE]:
                        recount.update(call["experts"])
            assert row == [recount[expert] for expert in range(16)]
