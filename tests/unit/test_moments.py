"""From a failure or an alarm to its lines in the log."""

from __future__ import annotations

import asyncio
from pathlib import Path

from supervision import Stage, over

from cockpit import journal
from cockpit.moments import Moment, Moments, place
from cockpit.supervisor import sampler
from trainer.contract import messages as m

LOG = b"""\
--- attempt 1 --- 2026-11-25 05:00:30
[rank 0] step 1
[rank 1] Traceback (most recent call last):
[rank 1]   File "loop.py", line 3, in step
[rank 0] step 2
[rank 1] ValueError: no
[rank 0] Traceback (most recent call last):
[rank 0] RuntimeError: Connection closed by peer
E1125 05:00:32.123000 99 torch/distributed/elastic] failed (exitcode: 1)
--- attempt 2 --- 2026-11-25 05:01:30
[rank 0] step 3
[rank 1] Killed
"""


def line_at(log: Path, offset: int | None) -> str:
    assert offset is not None
    return log.read_bytes()[offset:].split(b"\n")[0].decode()


def failure(text: str, rank: int | None = None) -> m.Failure:
    return m.Failure(kind="exception", rank=rank, text=text, advice="")


def test_a_failure_is_at_the_traceback_that_it_names(tmp_path: Path) -> None:
    log = tmp_path / "trainer.log"
    log.write_bytes(LOG)

    def at(entry: m.Failure, attempt: int) -> str:
        return line_at(log, place(log, Moment(0.0, entry, 2, attempt, None)))

    assert at(failure("ValueError: no", 1), 1) == "[rank 1] Traceback (most recent call last):"
    assert at(failure("rank 1 failed: ValueError: no"), 1).startswith("[rank 1] Traceback")
    assert at(failure("something else", 0), 1).startswith("[rank 0] Traceback")
    assert at(failure("torchrun (pid 9) was killed"), 1).startswith("E1125")
    assert at(failure("rank 1 (pid 7) was killed by signal 9", 1), 2) == "[rank 1] Killed"
    assert place(log, Moment(0.0, failure("x"), 2, 3, None)) is None
    assert place(tmp_path / "none", Moment(0.0, failure("x"), 2, 1, 5)) is None


def test_an_alarm_is_where_the_log_ended_then(tmp_path: Path) -> None:
    log = tmp_path / "trainer.log"
    log.write_bytes(LOG)
    alarm = m.Alarm(state="raised", rule="dead", layer=1, expert=2, value=0.0, step=2)
    size = LOG.index(b"[rank 0] step 2")
    assert line_at(log, place(log, Moment(0.0, alarm, 2, 1, size))) == "[rank 0] step 2"
    assert place(log, Moment(0.0, alarm, 2, 1, None)) is None
    assert place(log, Moment(0.0, alarm, 2, 1, 10**9)) == len(LOG)


def test_moments_know_their_step_attempt_and_log() -> None:
    step = m.Step(step=7, loss=1.0, lr=0.1, grad_norm=1.0, tokens=1, seconds=1.0, split={})
    alarm = m.Alarm(state="raised", rule="dead", layer=1, expert=2, value=0.0, step=6)
    cleared = m.Alarm(state="cleared", rule="dead", layer=1, expert=2, value=0.0, step=8)
    launch = m.Launch(pid=1, checkpoint=None, reason="again", restarts_left=1, attempt=2)
    entries = [
        failure("early"), m.System(gpus=[], processes=[], log_size=40), launch, step, alarm,
        cleared, failure("late"),
    ]  # fmt: skip
    lines = [m.encode(entry).strip() for entry in entries]
    found = Moments()
    told = [*found.take(lines[:4]), *found.take([*lines[4:], b"torn", b'{"type":"failure"'])]
    assert [(one.step, one.attempt, one.log_size) for one in told] == [
        (0, 1, None), (6, 2, 40), (7, 2, 40),
    ]  # fmt: skip


def test_samples_of_the_host_say_how_long_the_log_is(tmp_path: Path) -> None:
    (tmp_path / "trainer.log").write_bytes(LOG)

    async def one() -> m.System:
        told: asyncio.Queue[m.System] = asyncio.Queue()
        task = asyncio.create_task(sampler.sample(tmp_path, dict, told.put_nowait))
        sample = await told.get()
        task.cancel()
        return sample

    assert asyncio.run(one()).log_size == len(LOG)


def test_a_real_failure_is_found_in_its_log(stage: Stage) -> None:
    run = stage.start("restart.max=0", steps=20, crash_at=3, crash_attempts=9)
    over(run)
    lines = journal.LineTail(run.journal)
    found = [one for chunk in lines.chunks() for one in Moments().take(chunk)]
    assert isinstance(found[0].entry, m.Failure) and found[0].step == 3
    offset = place(run.log, found[0])
    assert offset is not None
