"""Stops that are refused, and ends that are no ends."""

from __future__ import annotations

import time
from typing import Any

import pytest

from cockpit.supervisor import ending, history
from cockpit.supervisor.watchdog import Watchdog
from trainer.contract import messages as m


def launched(*entries: m.Entry) -> history.History:
    """The history of a run with one launch and what followed."""
    launch = m.Launch(attempt=1, pid=1, checkpoint=None, reason="started", restarts_left=3)
    return history.of([launch, *entries])


def step(number: int) -> m.Step:
    return m.Step(
        step=number, loss=1.0, lr=0.1, grad_norm=1.0, tokens=8, seconds=0.1, split={}, attempt=1
    )


def hello(steps: int) -> m.Hello:
    shape = m.Model(
        layers=1, moe_layers=[0], experts=2, experts_per_token=1, hidden=8, vocabulary=8,
        parameters=8, trainable=8,
    )  # fmt: skip
    return m.Hello(
        protocol=1,
        world=1,
        ranks=[],
        model=shape,
        step=0,
        steps=steps,
        tokens_per_step=8,
        attempt=1,
    )


def saved(number: int) -> m.Checkpoint:
    return m.Checkpoint(step=number, state="saved", path="p", seconds=0.1, bytes=1, attempt=1)


def stop(identifier: str) -> m.Command:
    return m.Command(id=identifier, command="stop", by="test", arguments={"checkpoint": True})


def test_a_stop_after_a_refused_one_has_the_whole_grace_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    past = launched(step(1), stop("a"))
    watchdog = Watchdog(past, grace=60)
    watchdog.expect_stop()
    past.apply(m.Ack(id="a", command="stop", state="refused", step=1, reason="the disk is full"))
    watchdog._look_at_stop()
    now += 300
    past.apply(stop("b"))
    watchdog.expect_stop()
    watchdog._look_at_stop()
    assert watchdog.verdict is None
    now += 61
    watchdog._look_at_stop()
    assert watchdog.verdict is not None and watchdog.verdict.kind == "overdue"


class Told:
    """As much of a supervisor as an end needs."""

    def __init__(self, past: history.History) -> None:
        self.history, self.entries = past, list[Any]()
        self.step = past.state.step

    def record(self, entry: Any) -> None:
        self.entries.append(entry)


@pytest.mark.parametrize(
    ("entries", "state"),
    [
        ([step(5), saved(5)], "done"),
        ([step(5), saved(4)], "stopped"),
        ([step(5), m.Phase(phase="done", step=5)], "done"),
        ([step(4), saved(4)], "stopped"),
    ],
)
def test_done_means_that_the_last_step_is_saved(entries: list[m.Entry], state: str) -> None:
    told = Told(launched(hello(5), *entries))
    ending._finished(told)  # type: ignore[arg-type]
    assert [entry.state for entry in told.entries if isinstance(entry, m.End)] == [state]


def test_a_pause_is_remembered_through_what_happens_meanwhile() -> None:
    def done(command: str) -> m.Ack:
        return m.Ack(id=command, command=command, state="done", step=1)

    past = launched(step(1), done("pause"), m.Phase(phase="paused", step=1))
    past.apply(m.Phase(phase="checkpointing", step=1))
    assert past.paused
    past.apply(done("resume"))
    assert not past.paused
