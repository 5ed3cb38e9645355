"""The tiny run on one GPU. Skipped where there is none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
import yaml

from cockpit.sensors.gpu import Gpus
from trainer.contract import presets

pytestmark = pytest.mark.skipif(not Gpus().read(), reason="no NVIDIA GPU here")


@pytest.mark.parametrize("offload", ["none", "cpu"])
def test_the_loss_falls_and_memory_is_the_gpus(tmp_path: Path, offload: str) -> None:
    settings = [
        "launch.device=cuda", "launch.nproc=1", "train.steps=30", "checkpoint.every=0",
        f"engine.offload_optimizer={offload}", f"engine.offload_params={offload}",
    ]  # fmt: skip
    config = msgspec.to_builtins(presets.resolve("tiny", settings))
    (tmp_path / "run.yaml").write_text(yaml.safe_dump({"config": config}))
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=1"]
    done = subprocess.run(
        [*launch, "-m", "trainer", str(tmp_path / "run.yaml")],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=540,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    messages = [json.loads(line) for line in done.stdout.splitlines()]
    losses = [message["loss"] for message in messages if message["type"] == "step"]
    assert len(losses) == 30
    assert sum(losses[-5:]) / 5 < sum(losses[:5]) / 5 - 0.5
    hello = next(message for message in messages if message["type"] == "hello")
    assert hello["ranks"][0]["device"] == "cuda:0"
    memory = [message for message in messages if message["type"] == "memory"]
    assert all(0 < sample["allocated"] <= sample["reserved"] for sample in memory)
    for sample in memory:
        assert sample["reserved"] <= sample["device_total"] - sample["device_free"]
