"""A run from its start to its end, whatever happens in between."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import time
from pathlib import Path

import pytest
from supervision import (
    Stage,
    ack,
    assert_clean,
    assert_whole,
    belonging,
    kill_supervisor,
    now,
    of_type,
    order,
    over,
    reaches,
    steps,
    until,
)

from cockpit import client, runs
from trainer.contract import messages


def test_a_run_trains_to_its_last_step_and_leaves_nothing(stage: Stage) -> None:
    run = stage.start(steps=20)
    final = over(run)
    assert (final.state, final.step) == ("done", 20)
    assert steps(run) == list(range(1, 21))
    assert_whole(run)
    assert_clean(stage, run)


def test_everything_is_private_to_the_user(stage: Stage) -> None:
    run = stage.start(steps=3000)
    reaches(run, 1)
    info = runs.supervisor_info(run)
    assert info is not None
    for path in (run.path, *map(os.path.dirname, (info.socket, info.pipe))):
        assert stat.S_IMODE(Path(path).stat().st_mode) == 0o700
    for path in (run.run_file, run.journal, run.log, run.supervisor_file, info.socket, info.pipe):
        assert stat.S_IMODE(Path(path).stat().st_mode) == 0o600


def test_pause_holds_and_resume_goes_on(stage: Stage) -> None:
    run = stage.start(steps=2000)
    reaches(run, 3)
    pause = order(run, messages.Pause(id="p"))
    until(lambda: ack(run, pause))
    assert now(run).state == "paused"
    held = now(run).step
    time.sleep(0.3)
    assert now(run).step == held
    order(run, messages.Resume(id="r"))
    reaches(run, held + 2)


def test_stop_saves_and_resume_continues_in_the_same_journal(stage: Stage) -> None:
    run = stage.start(steps=40)
    reaches(run, 3)
    stop = order(run, messages.Stop(id="s"))
    stopped = over(run)
    assert stopped.state == "stopped"
    assert stopped.detail == f"as asked, after step {stopped.step} of 40"
    assert stopped.last_checkpoint is not None
    assert stopped.last_checkpoint.step == stopped.step
    answer = ack(run, stop)
    assert answer is not None and answer.state == "done"
    asyncio.run(client.start_supervisor(run))
    assert over(run).state == "done"
    assert steps(run) == list(range(1, 41))
    assert [launch.attempt for launch in of_type(run, messages.Launch)] == [1, 2]
    assert_whole(run)
    assert_clean(stage, run)


def test_a_stop_that_is_not_followed_ends_in_a_kill_that_is_told(stage: Stage) -> None:
    run = stage.start("restart.grace=0.5", steps=3000, ignore_stop=True, ignore_term=True)
    reaches(run, 2)
    order(run, messages.Stop(id="s"))
    final = over(run)
    assert final.state == "stopped"
    assert final.last_failure is not None
    assert final.last_failure.kind == "hang"
    assert "0.5 s" in final.last_failure.text
    assert_clean(stage, run)


def test_a_stop_before_the_first_step_does_not_wait_for_one(stage: Stage) -> None:
    run = stage.start(steps=20, loading=60.0)
    until(lambda: now(run).state == "loading")
    started = time.monotonic()
    order(run, messages.Stop(id="s"))
    assert over(run).state == "stopped"
    assert time.monotonic() - started < 5
    assert_clean(stage, run)


def test_sigterm_to_the_supervisor_checkpoints_and_stops(stage: Stage) -> None:
    run = stage.start(steps=3000)
    reaches(run, 3)
    kill_supervisor(run, signal.SIGTERM)
    final = over(run)
    assert final.state == "stopped"
    assert final.last_checkpoint is not None and final.last_checkpoint.step == final.step
    assert_clean(stage, run)


def test_a_second_sigterm_does_not_wait(stage: Stage) -> None:
    run = stage.start(steps=3000, ignore_stop=True, ignore_term=True)
    reaches(run, 2)
    kill_supervisor(run, signal.SIGTERM)
    until(lambda: now(run).pending)
    kill_supervisor(run, signal.SIGTERM)
    assert over(run).state == "stopped"
    assert_clean(stage, run)


def test_sighup_means_nothing(stage: Stage) -> None:
    run = stage.start(steps=30)
    kill_supervisor(run, signal.SIGHUP)
    assert over(run).state == "done"


def test_a_failed_trainer_starts_again_from_its_checkpoint(stage: Stage) -> None:
    run = stage.start(steps=20, crash_at=12, how="raise")
    final = over(run)
    assert (final.state, final.attempt, final.restarts_left) == ("done", 2, 2)
    assert final.last_failure is not None and final.last_failure.text == "ValueError: no"
    assert steps(run) == [*range(1, 13), *range(11, 21)]  # back to the checkpoint of step 10
    launch = of_type(run, messages.Launch)[-1]
    assert launch.checkpoint == "step-00000010"
    assert_whole(run)
    assert_clean(stage, run)


def test_restarts_are_used_up_one_after_the_other(stage: Stage) -> None:
    run = stage.start("restart.max=1", steps=20, crash_at=12, crash_attempts=9)
    final = over(run)
    assert (final.state, final.attempt, final.restarts_left) == ("failed", 2, 0)
    assert "used up" in final.detail
    assert_clean(stage, run)


def test_a_failure_before_any_step_is_tried_once_more_and_no_further(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = stage.new()
    monkeypatch.setenv("L4COCKPIT_TEST_TRAINER", "/bin/false")
    asyncio.run(client.start_supervisor(run))
    final = over(run)
    assert (final.state, final.attempt) == ("failed", 2)
    assert "2 times in a row before any step" in final.detail


def test_a_wrong_configuration_is_not_tried_again(stage: Stage) -> None:
    run = stage.start(steps=20, crash_at=1, how="exit2")
    final = over(run)
    assert (final.state, final.attempt) == ("failed", 1)
    assert final.last_failure is not None
    assert final.last_failure.kind == "configuration"
    assert "train.lr is odd" in final.last_failure.text


def test_a_killed_rank_is_named_within_a_second_and_the_run_goes_on(stage: Stage) -> None:
    run = stage.start(steps=20, crash_at=7, how="kill-rank")
    final = over(run)
    assert final.state == "done"
    failure = of_type(run, messages.Failure)[0]
    assert (failure.kind, failure.rank) == ("killed", 1)
    assert "was killed by signal 9 (SIGKILL)" in failure.text
    gone = next(log for log in of_type(run, messages.Log) if "is gone" in log.text)
    died = next(step for step in of_type(run, messages.Step) if step.step == 7)
    assert gone.time - died.time < 1.0
    assert_clean(stage, run)


def test_a_killed_torchrun_is_named_and_its_ranks_are_ended(stage: Stage) -> None:
    run = stage.start(steps=20, crash_at=7, how="kill")
    final = over(run)
    assert final.state == "done"
    failure = of_type(run, messages.Failure)[0]
    assert failure.text.startswith("torchrun (pid")
    assert "SIGKILL" in failure.text
    assert_clean(stage, run)


def test_a_trainer_that_cannot_be_started_fails_plainly(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = stage.new()
    monkeypatch.setenv("L4COCKPIT_TEST_TRAINER", "/nonexistent/torchrun")
    asyncio.run(client.start_supervisor(run))
    final = over(run)
    assert final.state == "failed"
    assert "cannot be started" in final.detail
    assert_clean(stage, run)


def test_stop_during_the_back_off_ends_the_run(stage: Stage) -> None:
    run = stage.start("restart.max=5", steps=20, crash_at=7, crash_attempts=9)
    until(
        lambda: (
            now(run).restarts_left == 5 and now(run).state == "restarting" and not belonging(run)
        )
    )
    order(run, messages.Stop(id="s"))
    final = over(run)
    assert final.state == "stopped"
    assert_clean(stage, run)
