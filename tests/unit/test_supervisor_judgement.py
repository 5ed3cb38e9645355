"""Why a trainer ended, and whether it is started again: pure judgements."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cockpit.supervisor import history, restart
from cockpit.supervisor.diagnose import Evidence, Verdict, diagnose
from cockpit.supervisor.sampler import OFTEN, SELDOM, interval
from trainer.contract import messages
from trainer.contract.messages import Failure

SUMMARY = """\
============================================================
trainer FAILED
------------------------------------------------------------
Failures:
[1]:
  time      : 2026-11-23_10:00:01
  host      : node
  rank      : 0 (local_rank: 0)
  exitcode  : 1 (pid: 40)
------------------------------------------------------------
Root Cause (first observed failure):
[0]:
  time      : 2026-11-23_10:00:00
  host      : node
  rank      : {rank} (local_rank: {rank})
  exitcode  : {code} (pid: {pid})
  error_file: <N/A>
  traceback : To enable traceback see: https://pytorch.org/docs/stable/elastic/errors.html
============================================================
"""


def judge(**evidence: object) -> Verdict:
    verdict = diagnose(Evidence(**evidence))  # type: ignore[arg-type]
    assert verdict is not None
    return verdict


def told(kind: str, text: str, time: float, rank: int | None = 0) -> Failure:
    return Failure(kind=kind, rank=rank, text=text, advice="", time=time)


def test_exit_code_0_is_no_failure() -> None:
    assert diagnose(Evidence(code=0, told=[told("x", "y", 1)])) is None


def test_a_killed_rank_is_named_from_torchruns_summary() -> None:
    echo = told("peer-lost", "Connection closed by peer", 1.0)
    log = SUMMARY.format(rank=1, code=-9, pid=4242)
    failure = judge(code=1, log=log, told=[echo], gone=[1]).failure
    assert failure is not None
    assert (failure.kind, failure.rank) == ("killed", 1)
    assert failure.text == "rank 1 (pid 4242) was killed by signal 9 (SIGKILL)"
    assert "out-of-memory killer" in failure.advice


def test_a_crash_in_native_code_is_told_apart() -> None:
    failure = judge(code=1, log=SUMMARY.format(rank=0, code=-11, pid=7)).failure
    assert failure is not None
    assert "SIGSEGV" in failure.text and "native code" in failure.advice


def test_what_the_trainer_told_is_not_told_twice() -> None:
    verdict = judge(
        code=1,
        log=SUMMARY.format(rank=0, code=1, pid=7),
        told=[
            told("peer-lost", "Connection closed by peer", 1.0, 1),
            told("exception", "ValueError: x", 2.0),
            told("checkpoint-failed", "No checkpoint", 0.5, None),
        ],
    )
    assert (verdict.kind, verdict.text, verdict.failure) == ("exception", "ValueError: x", None)


def test_a_vanished_rank_outweighs_the_echo_of_its_death() -> None:
    echo = told("peer-lost", "Connection closed by peer", 1.0)
    verdict = judge(code=1, told=[echo], gone=[1], pids={0: 40, 1: 41})
    assert verdict.text == "rank 1 (pid 41) vanished"


@pytest.mark.parametrize(
    ("line", "kind", "advice"),
    [
        ("[rank 1] torch.OutOfMemoryError: CUDA out of memory. Tried", "out-of-memory", "micro"),
        ("OSError: [Errno 28] No space left on device", "disk-full", "free some space"),
        ("AssertionError: Unable to JIT load the async_io op", "not-installed", "libaio-dev"),
        ("FileNotFoundError: [Errno 2] No such file or directory: 'c++'", "not-installed", "C++"),
        ("ModuleNotFoundError: No module named 'deepspeed'", "not-installed", "l4cockpit[train]"),
        ("RuntimeError: [enforce fail at alloc_cpu.cpp:1] std::bad_alloc", "out-of-memory", "RAM"),
        ("[rank 0]: ZeroDivisionError: division by zero", "exception", "trainer.log"),
    ],
)
def test_known_errors_come_with_advice(line: str, kind: str, advice: str) -> None:
    log = f"Traceback (most recent call last):\n  x\n{line}\n" + SUMMARY.format(
        rank=1, code=1, pid=5
    )
    failure = judge(code=1, log=log).failure
    assert failure is not None
    assert failure.kind == kind
    assert advice in failure.advice
    assert line.rpartition("] ")[2].rpartition("]: ")[2] in failure.text


def test_an_exit_code_of_2_is_a_wrong_configuration() -> None:
    log = "[rank 0] l4cockpit: data.path: no such file\n" + SUMMARY.format(rank=0, code=2, pid=5)
    failure = judge(code=1, log=log).failure
    assert failure is not None
    assert failure.kind == "configuration"
    assert "no such file" in failure.text


def test_a_silent_end_is_told_as_what_it_is() -> None:
    assert "probably killed" in judge(code=None, torchrun=5).text
    assert judge(code=None, watched=False).kind == "lost"
    assert "exit code 1" in judge(code=1).text
    assert judge(code=-9, torchrun=5).text == "torchrun (pid 5) was killed by signal 9 (SIGKILL)"


@given(st.integers(-70, 300) | st.none(), st.text(max_size=300), st.booleans())
def test_every_end_has_a_reason(code: int | None, log: str, watched: bool) -> None:
    verdict = diagnose(Evidence(code=code, log=log, watched=watched))
    assert (verdict is None) == (code == 0)
    assert verdict is None or (verdict.kind and verdict.text)


@given(st.integers(1, 50))
def test_restarts_end_and_wait_longer_each_time(allowed: int) -> None:
    delays, left = [], allowed
    while (decision := restart.decide("killed", 0, left, allowed)).restart:
        delays.append(decision.delay)
        left -= 1
    assert len(delays) == allowed
    assert delays == sorted(delays)
    assert delays[0] == restart.FIRST_DELAY and delays[-1] <= restart.LONGEST_DELAY


def test_what_will_repeat_is_not_repeated() -> None:
    assert not restart.decide("configuration", 0, 3, 3).restart
    assert restart.decide("exception", 1, 3, 3).restart
    assert not restart.decide("exception", 2, 3, 3).restart
    assert "restart.max is 0" in restart.decide("killed", 0, 0, 0).reason


@given(st.sampled_from(["pause", "resume", "checkpoint", "stop", "set"]), st.booleans())
def test_an_order_comes_back_from_its_journal_entry(name: str, checkpoint: bool) -> None:
    orders: dict[str, messages.AnyOrder] = {
        "pause": messages.Pause(id="i"),
        "resume": messages.Resume(id="i"),
        "checkpoint": messages.SaveCheckpoint(id="i"),
        "stop": messages.Stop(id="i", checkpoint=checkpoint),
        "set": messages.Set(id="i", key="lr_scale", value=0.5),
    }
    order = orders[name]
    assert history.order_of(history.command_of(order, "me")) == order


def test_samples_become_seldom_in_a_long_run() -> None:
    assert (interval(0), OFTEN) == (2.0, 2.0)
    assert interval(601) == SELDOM == 10.0
