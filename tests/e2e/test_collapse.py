"""A router that collapses is told of, with layer and expert, and told to be well again."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.e2e.desk import SMALL, Desk, Entry

LAYER, EXPERT = 2, 5
TRAINER = "-m torch.distributed.run --standalone --nproc-per-node=1 -m tests.e2e.collapsing_trainer"


def test_a_collapse_is_raised_with_its_layer_and_expert_and_cleared_after(desk: Desk) -> None:
    repository = str(Path(__file__).parents[2])
    desk.environment |= {
        "L4COCKPIT_TEST_TRAINER": f"{sys.executable} {TRAINER}",
        "PYTHONPATH": os.pathsep.join([repository, os.environ.get("PYTHONPATH", "")]),
        "OMP_NUM_THREADS": "1",
    }
    settings = ["train.steps=100000", "launch.nproc=1", "checkpoint.every=0", "train.micro_batch=4"]
    settings += ["alarms.note=[0.5, 3.0]"]  # it is back after fewer windows
    settings += [
        "engine.zero_stage=0",
        "engine.offload_optimizer=none",
        "engine.offload_params=none",
    ]
    run = desk.start("tiny", *SMALL, *settings)

    def windows(more: int) -> None:
        before = len(run.journal("experts"))
        run.until(lambda _: len(run.journal("experts")) >= before + more, f"{more} windows")

    def overload(entries: list[Entry]) -> list[Entry]:
        return [e for e in entries if e["type"] == "alarm" and e["rule"] == "expert-overload"]

    windows(3)
    assert run.journal("alarm") == []
    order = run.path / "collapse"
    order.write_text(f"{LAYER} {EXPERT}")
    raised = run.until(
        lambda entries: [a for a in overload(entries) if a.get("severity") == "critical"], "alarm"
    )[0]
    assert (raised["state"], raised["layer"], raised["expert"]) == ("raised", LAYER, EXPERT)
    assert raised["value"] > 6.0
    assert (
        f"critical: layer {LAYER} expert {EXPERT} is above" in desk.type("status", run.name).stdout
    )

    order.unlink()
    run.until(lambda entries: overload(entries)[-1]["state"] == "cleared", "the end of the alarm")
    told = run.journal("alarm")
    assert {alarm["layer"] for alarm in told} == {LAYER}, "no other layer was meant"
    run.type("stop", "--no-checkpoint")
    run.until_ended("stopped")
