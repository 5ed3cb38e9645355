"""What is killed is replaced, and nothing is lost or doubled by it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time

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
    supervisor_pid,
    until,
)

from cockpit import client, runs, state
from cockpit.runs import Run
from trainer.contract import messages


def take_over(run: Run) -> bool:
    return asyncio.run(client.ensure_supervisor(run))


def test_a_killed_supervisor_is_replaced_and_no_step_is_lost_or_doubled(stage: Stage) -> None:
    run = stage.start(steps=100_000)  # however slow a machine, it does not end meanwhile
    for step in (20, 60, 90):
        reaches(run, step)
        kill_supervisor(run)
        time.sleep(0.3)  # the trainer goes on meanwhile
        assert belonging(run)
        assert take_over(run)
    order(run, messages.Stop(id="s"))
    final = over(run)
    assert (final.state, final.attempt) == ("stopped", 1)
    assert steps(run) == list(range(1, final.step + 1))
    assert_whole(run)
    assert_clean(stage, run)


def test_the_new_supervisor_controls_the_adopted_trainer(stage: Stage) -> None:
    run = stage.start(steps=3000)
    reaches(run, 2)
    kill_supervisor(run)
    take_over(run)
    until(lambda: ack(run, order(run, messages.Pause(id="p"))))
    assert now(run).state == "paused"
    order(run, messages.Stop(id="s"))
    assert over(run).state == "stopped"
    assert_clean(stage, run)


def test_an_order_outlives_the_supervisor_that_took_it(stage: Stage) -> None:
    run = stage.start(steps=60, seconds=0.5)
    reaches(run, 1)
    os.kill(now_trainer(run), signal.SIGSTOP)  # it cannot answer before the supervisor dies
    order(run, messages.Stop(id="s"))
    until(lambda: now(run).pending)
    kill_supervisor(run)
    os.kill(now_trainer(run), signal.SIGCONT)
    take_over(run)
    final = over(run)
    assert final.state == "stopped"
    answer = ack(run, "s")
    assert answer is not None and answer.state == "done"


def now_trainer(run: Run) -> int:
    info = runs.supervisor_info(run)
    assert info is not None and info.trainer is not None
    return info.trainer.pid


def test_when_all_is_killed_the_run_is_lost_and_says_how_to_go_on(stage: Stage) -> None:
    run = stage.start(steps=3000)
    reaches(run, 7)
    kill_supervisor(run)
    for pid in belonging(run):
        os.kill(pid, signal.SIGKILL)
    until(lambda: state.current(run).state == "lost")  # a killed process ends in its own time
    assert belonging(run) == []
    take_over(run)
    final = over(run)
    assert final.state == "failed"
    assert final.last_failure is not None
    assert final.last_failure.kind == "lost"
    assert f"l4cockpit resume {run.name} continues from step 5" in final.last_failure.advice
    assert belonging(run) == []  # looking starts no training
    stage.plan(steps=12)
    asyncio.run(client.start_supervisor(run))
    assert over(run).state == "done"
    assert_whole(run)
    assert_clean(stage, run)


def test_what_ended_unwatched_is_known_from_what_it_left(stage: Stage) -> None:
    run = stage.start(steps=30)
    reaches(run, 2)
    kill_supervisor(run)
    until(lambda: not belonging(run))
    take_over(run)
    final = over(run)
    assert (final.state, final.step) == ("done", 30)
    assert steps(run) == list(range(1, 31))
    assert_whole(run)


def test_an_adopted_trainer_that_is_killed_is_restarted(stage: Stage) -> None:
    run = stage.start(steps=100)
    reaches(run, 7)
    kill_supervisor(run)
    take_over(run)
    os.kill(now_trainer(run), signal.SIGKILL)
    until(lambda: now(run).attempt == 2)
    final = over(run)
    assert final.state == "done"
    assert "probably killed" in of_type(run, messages.Failure)[0].text
    assert_clean(stage, run)


def test_a_run_has_one_supervisor(stage: Stage) -> None:
    run = stage.start(steps=3000)
    reaches(run, 1)
    first = supervisor_pid(run)
    for option in ([], ["--takeover"]):
        second = subprocess.run(
            [sys.executable, "-m", "cockpit.supervisor", str(run.path), *option],
            capture_output=True, text=True, timeout=20, check=False,
        )  # fmt: skip
        assert second.returncode == client.TAKEN_EXIT
        assert "has a supervisor already" in second.stdout
    assert supervisor_pid(run) == first
    reached = now(run).step
    reaches(run, reached + 2)


def test_many_who_find_it_dead_start_only_one(stage: Stage) -> None:
    run = stage.start(steps=3000)
    reaches(run, 1)
    kill_supervisor(run)

    async def all_at_once() -> None:
        await asyncio.gather(*(client.ensure_supervisor(run) for _ in range(4)))

    asyncio.run(all_at_once())
    until(lambda: runs.supervisor_alive(runs.supervisor_info(run)))
    assert [s.state for s in of_type(run, messages.Supervisor)] == ["started", "took-over"]


def test_a_journal_that_was_torn_goes_on_cleanly(stage: Stage) -> None:
    run = stage.start(steps=100)
    reaches(run, 5)
    kill_supervisor(run)
    with run.journal.open("ab") as file:
        file.write(b'{"seq":99999,"type":"st')
    take_over(run)
    assert over(run).state == "done"
    assert steps(run) == list(range(1, 101))
    assert_whole(run)


def test_a_run_of_another_host_is_left_alone(stage: Stage) -> None:
    run = stage.start(steps=3000)
    reaches(run, 1)
    kill_supervisor(run)
    text = run.supervisor_file.read_text().replace(f'"{runs.this_host()}"', '"elsewhere"')
    run.supervisor_file.write_text(text)
    for attempt in (client.ensure_supervisor(run), client.start_supervisor(run)):
        try:
            asyncio.run(attempt)
        except client.NoSupervisor as error:
            assert "lives on host elsewhere" in str(error)
        else:
            raise AssertionError("it was touched")
    assert state.current(run).state == "training"  # as far as can be seen from here
