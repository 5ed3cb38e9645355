"""Pausing, stopping and resuming change no bit of any loss, in every offload mode."""

from __future__ import annotations

import time

import pytest

from tests.e2e.desk import Desk, assert_each_once

STEPS = 9
LOSSES: dict[str, dict[int, float]] = {}
"""Of the uninterrupted runs, by preset: the offload modes must agree too."""


@pytest.mark.parametrize("preset", ["tiny", "tiny-lora", "tiny-qlora", "tiny-nvme"])
def test_paused_stopped_and_resumed_as_if_never(desk: Desk, preset: str) -> None:
    settings = (f"train.steps={STEPS}", "checkpoint.every=0")
    straight = desk.train(preset, *settings)
    assert_each_once(straight.steps(), STEPS)
    on_disk = preset == "tiny-nvme"  # what waits for the disk says so
    assert all(("offload" in step["split"]) == on_disk for step in straight.journal("step"))
    assert all(("nvme_free" in sample) == on_disk for sample in straight.journal("memory"))

    broken = desk.start(preset, *settings)
    broken.until_step(2)
    broken.type("pause", "--wait")
    paused = broken.until_entry("phase", phase="paused")
    asked = broken.until_entry("command", command="pause")
    after = [entry for entry in broken.journal("step") if entry["time"] > asked["time"]]
    # The step that was being done, and one more where the order came in its optimizer's part.
    assert len(after) <= 2
    assert paused["time"] - asked["time"] < 1 + sum(step["seconds"] for step in after)
    time.sleep(2)
    assert broken.steps()[-1] == paused["step"], "a step was done while paused"
    broken.type("resume", "--wait")
    broken.until_step(paused["step"] + 2)
    broken.type("stop", "--wait")
    stop = broken.until_ended("stopped")
    assert stop["step"] < STEPS, "the run was over before it was stopped"
    assert [e["state"] for e in broken.journal("checkpoint")] == ["started", "saved"]

    broken.type("resume", "--wait")
    broken.until_ended("done", count=2)
    assert_each_once(broken.steps(), STEPS)
    assert broken.losses() == straight.losses()

    LOSSES[preset] = straight.losses()


def test_losses_do_not_depend_on_where_the_optimizer_states_lie() -> None:
    if not {"tiny", "tiny-nvme"} <= LOSSES.keys():
        pytest.skip("needs the runs of the test above")
    assert LOSSES["tiny"] == LOSSES["tiny-nvme"]
