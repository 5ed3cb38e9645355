"""Any process killed at any moment: nothing is lost but the steps since the last checkpoint, it
is said plainly what died, and nothing is left running."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import pytest

from tests.e2e.desk import SMALL, Desk, Run, assert_each_once

STEPS = 30
SETTINGS = (*SMALL, f"train.steps={STEPS}", "checkpoint.every=5")


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> dict[int, float]:
    """The losses of a run that nobody kills."""
    return Desk(tmp_path_factory.mktemp("straight") / "runs").train("tiny", *SETTINGS).losses()


def test_a_rank(desk: Desk, straight: dict[int, float]) -> None:
    run = desk.start("tiny", *SETTINGS)
    run.until_step(8)
    victim = run.rank(1)
    victim.kill()
    failure = run.until_entry("failure", kind="killed")
    assert failure["rank"] == 1
    assert "rank 1" in failure["text"] and "SIGKILL" in failure["text"]
    assert failure["advice"]
    run.until_ended("done")
    assert_rewound_to_a_checkpoint(run)
    assert run.losses() == straight


def test_torchrun(desk: Desk, straight: dict[int, float]) -> None:
    run = desk.start("tiny", *SETTINGS)
    run.until_step(8)
    run.torchrun().kill()
    failure = run.until_entry("failure")
    assert "torchrun" in failure["text"] and "SIGKILL" in failure["text"]
    run.until_ended("done")
    assert_rewound_to_a_checkpoint(run)
    assert run.losses() == straight


def test_a_rank_without_restarts_left(desk: Desk) -> None:
    run = desk.start("tiny", *SETTINGS, "restart.max=0")
    run.until_step(8)
    run.rank(0).kill()
    end = run.until_ended("failed")
    assert "rank 0" in end["reason"] or "rank 0" in run.journal("failure")[0]["text"]
    assert run.type("status", status=None).stdout.count("failed")


def test_a_rank_while_loading(desk: Desk) -> None:
    run = desk.start("tiny", *SETTINGS, "train.steps=6")
    run.until_entry("phase", phase="loading", detail="importing libraries")
    time.sleep(1)
    run.rank(1).kill()
    assert run.until_entry("failure", kind="killed")["rank"] == 1
    run.until_ended("done")
    assert_each_once(run.steps(), 6)


def test_a_rank_while_paused(desk: Desk, straight: dict[int, float]) -> None:
    run = desk.start("tiny", *SETTINGS)
    run.until_step(6)
    run.type("pause", "--wait")
    run.rank(1).kill()
    assert run.until_entry("failure", kind="killed")["rank"] == 1
    run.until_entry("launch", count=2)
    run.until_entry("phase", phase="paused", count=2)  # restarted, and paused as it was
    run.type("resume", "--wait")
    run.until_ended("done")
    assert run.losses() == straight


def test_the_supervisor(desk: Desk, straight: dict[int, float]) -> None:
    run = desk.start("tiny", *SETTINGS)
    run.until_step(4)
    for step in (10, 16):
        run.supervisors()[0].kill()
        run.until(lambda _: not run.supervisors(), "death of the supervisor")
        time.sleep(1.5)  # steps go on meanwhile
        assert run.rank(0).is_running()
        run.type("status")
        assert run.journal("supervisor")[-1]["state"] == "took-over"
        run.until_step(step)
    run.until_ended("done")
    assert_each_once(run.steps(), STEPS)
    assert run.losses() == straight
    assert not run.journal("failure")


def test_the_supervisor_just_before_the_end(desk: Desk) -> None:
    """The trainer ends with nobody listening; the next command finds its last messages."""
    run = desk.start("tiny", *SETTINGS, "train.steps=12")
    run.until_step(6)
    run.supervisors()[0].kill()
    run.until(lambda _: not desk.processes(), "end of the trainer")
    run.type("status")
    run.until_ended("done")
    assert_each_once(run.steps(), 12)


@pytest.mark.parametrize("victim", ["rank 0", "rank 1", "torchrun"])
def test_one_process_during_a_checkpoint(
    desk: Desk, straight: dict[int, float], victim: str
) -> None:
    run = desk.start("tiny", *SETTINGS)
    run.until_step(6)
    processes = {"rank 0": run.rank(0), "rank 1": run.rank(1), "torchrun": run.torchrun()}
    wait_for(run.path / "checkpoints" / ".writing-step-00000010")
    processes[victim].kill()
    failure = run.until_entry("failure", kind="killed")
    assert victim in failure["text"]
    run.until_ended("done")
    assert_rewound_to_a_checkpoint(run)
    assert run.losses() == straight
    assert not list((run.path / "checkpoints").glob(".*"))


def test_everything_during_a_checkpoint(desk: Desk, straight: dict[int, float]) -> None:
    run = desk.start("tiny", *SETTINGS)
    writing = run.path / "checkpoints" / ".writing-step-00000010"
    wait_for(writing)
    run.kill_everything()
    assert not (run.path / "checkpoints/step-00000010").exists()
    told = run.type("status", status=None).stdout
    assert "failed" in told and "neither supervisor nor trainer is alive" in told
    assert not desk.processes()
    run.type("resume")
    run.until_ended("done", count=len(run.journal("end")) + 1)
    assert not writing.exists()
    assert_rewound_to_a_checkpoint(run)
    assert run.losses() == straight
    lost = run.journal("failure")[0]
    assert lost["kind"] == "lost" and lost["advice"]


def test_everything_while_paused_and_while_loading(desk: Desk, straight: dict[int, float]) -> None:
    run = desk.start("tiny", *SETTINGS)
    run.until_step(6)
    run.type("pause", "--wait")
    run.kill_everything()
    run.type("resume")
    run.until_entry("launch", count=2)
    run.until_entry("phase", phase="loading", attempt=2)
    run.kill_everything()
    run.type("resume")
    run.until(lambda entries: run.steps() and run.steps()[-1] == STEPS, "the last step")
    run.until(lambda _: not desk.processes(), "the end")
    assert run.losses() == straight


def test_a_damaged_checkpoint_is_named_and_passed_over(
    desk: Desk, straight: dict[int, float]
) -> None:
    run = desk.start("tiny", *SETTINGS)
    run.until_step(13)
    run.type("stop", "--no-checkpoint", "--wait")
    run.until_ended("stopped")
    newest = run.path / "checkpoints" / "step-00000010"
    damaged = next(newest.rglob("*rank_1*optim_states.pt"))
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    run.type("resume")
    run.until_ended("done", count=2)
    rejected = run.until_entry("checkpoint", state="rejected")
    assert rejected["step"] == 10 and damaged.name in rejected["reason"]
    assert run.until_entry("checkpoint", state="restored")["step"] == 5
    assert run.losses() == straight


def assert_rewound_to_a_checkpoint(run: Run) -> None:
    """Only steps since the last saved checkpoint were done twice."""
    steps = run.steps()
    back = [(a, b) for a, b in itertools.pairwise(steps) if b != a + 1]
    assert back, "nothing was repeated"
    saved = {entry["step"] for entry in run.journal("checkpoint") if entry["state"] == "saved"}
    for last, first in back:
        assert first - 1 in saved | {0} and last - first < 5 + 1


def wait_for(path: Path, timeout: float = 120) -> None:
    """Wait until a path exists, without missing a moment."""
    deadline = time.monotonic() + timeout
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not come"
        time.sleep(0.001)
