"""The outbox: numbered, bounded, nothing forgotten before it is confirmed."""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from trainer_helpers import memory, phase, quick, step

from trainer.contract import messages
from trainer.outbox import SAMPLES, Outbox


def read(outbox: Outbox, number: int = 0) -> list[Any]:
    found = []
    while batch := outbox.after(number):
        entries = [messages.decode_entry(line) for _, line in batch]
        assert [n for n, _ in batch] == [entry.n for entry in entries if entry]
        found += entries
        number = batch[-1][0]
    return found


def test_messages_are_numbered_from_one_and_stamped() -> None:
    outbox = Outbox(attempt=3)
    for number in range(1, 6):
        outbox.put(step(number))
    found = read(outbox)
    assert [entry.n for entry in found] == [1, 2, 3, 4, 5]
    assert [entry.step for entry in found] == [1, 2, 3, 4, 5]
    assert {entry.attempt for entry in found} == {3}
    assert all(entry.time > 1.7e9 and entry.mono > 0 for entry in found)


def test_messages_stay_until_they_are_known_to_be_in_the_journal() -> None:
    outbox = Outbox(attempt=1)
    for number in range(1, 6):
        outbox.put(step(number))
    assert read(outbox) == read(outbox)
    outbox.received(3)
    assert [entry.n for entry in read(outbox)] == [4, 5]
    assert not outbox.empty
    outbox.received(5)
    assert read(outbox) == []
    assert outbox.empty


def test_reading_goes_on_behind_a_number_in_portions() -> None:
    outbox = Outbox(attempt=1)
    for number in range(1, 11):
        outbox.put(step(number))
    assert [n for n, _ in outbox.after(4, count=3)] == [5, 6, 7]
    assert [n for n, _ in outbox.after(7, count=30)] == [8, 9, 10]


def test_samples_go_before_steps() -> None:
    outbox = Outbox(attempt=1, space=10**6, sample_space=2000)
    for number in range(100):
        outbox.put(step(number + 1))
        outbox.put(memory(number + 1))
    found = read(outbox)
    assert [entry.step for entry in found if isinstance(entry, messages.Step)] == list(
        range(1, 101)
    )
    kept = [entry.step for entry in found if isinstance(entry, messages.Memory)]
    assert 0 < len(kept) < 100
    assert kept == list(range(101 - len(kept), 101)), "the newest samples stay"
    told = found[-1]
    assert isinstance(told, messages.Dropped)
    assert (told.count, told.kinds) == (100 - len(kept), {"memory": 100 - len(kept)})


def test_steps_go_when_nothing_else_helps_and_are_told() -> None:
    outbox = Outbox(attempt=1, space=1000, sample_space=1000)
    for number in range(1, 101):
        outbox.put(step(number))
    *kept, told = read(outbox)
    assert [entry.step for entry in kept] == list(range(101 - len(kept), 101))
    assert told.kinds == {"step": 100 - len(kept)}


def test_what_was_dropped_is_told_once() -> None:
    outbox = Outbox(attempt=1, space=1000, sample_space=1000)
    for number in range(1, 101):
        outbox.put(step(number))
    first = [entry for entry in read(outbox) if isinstance(entry, messages.Dropped)]
    again = [entry for entry in read(outbox) if isinstance(entry, messages.Dropped)]
    assert len(first) == 1
    assert again == first


def test_a_message_longer_than_the_space_still_travels() -> None:
    outbox = Outbox(attempt=1, space=100, sample_space=100)
    outbox.put(messages.Log(level="info", text="x" * 10_000))
    assert len(read(outbox)) == 1


def test_two_hundred_thousand_messages_that_nobody_reads_cost_no_more_each() -> None:
    """Counts lines of Python executed per message, which no slow machine changes."""

    def lines_run(outbox: Outbox, count: int) -> int:
        executed = 0

        def trace(frame: Any, event: str, _argument: Any) -> Any:
            nonlocal executed
            executed += event == "line" and frame.f_code.co_filename.endswith("outbox.py")
            return trace

        sys.settrace(trace)
        try:
            for number in range(count):
                outbox.put(step(number))
        finally:
            sys.settrace(None)
        return executed

    outbox = Outbox(attempt=1, space=2**20, sample_space=2**18)
    early = lines_run(outbox, 300)
    for number in range(200_000):
        outbox.put(memory(number) if number % 2 else phase(number))
    assert lines_run(outbox, 300) < 3 * early


def test_reading_behind_a_gap_of_dropped_messages_is_one_pass() -> None:
    outbox = Outbox(attempt=1, space=2**20, sample_space=1000)
    outbox.put(phase(1))
    for number in range(50_000):
        outbox.put(memory(number))
    first = read(outbox)
    assert isinstance(first[0], messages.Phase)
    assert isinstance(first[-1], messages.Dropped)
    assert sum(first[-1].kinds.values()) + len(first) - 1 == 50_001


@quick
@given(st.lists(st.sampled_from(["step", "memory", "read"]), max_size=80))
def test_whatever_is_dropped_is_counted_in_what_arrives(actions: list[str]) -> None:
    """A reader that comes and goes without confirming loses no count, for the counts of a
    `dropped` message that is itself dropped go into the next."""
    outbox = Outbox(attempt=1, space=700, sample_space=500)
    put: Counter[str] = Counter()
    for action in actions:
        if action == "read":
            outbox.after(0)
        else:
            outbox.put(step(1) if action == "step" else memory())
            put[action] += 1
    arrived: Counter[str] = Counter()
    for entry in read(outbox):
        if isinstance(entry, messages.Dropped):
            assert entry.count == sum(entry.kinds.values())
            arrived.update(entry.kinds)
        else:
            arrived[entry.__struct_config__.tag] += 1
    assert arrived == put


class Model(RuleBasedStateMachine):
    """The outbox against a plain list of everything that was put in."""

    SPACE, SAMPLE_SPACE = 2500, 900

    def __init__(self) -> None:
        super().__init__()
        self.outbox = Outbox(1, self.SPACE, self.SAMPLE_SPACE)
        self.put = 0
        self.confirmed = 0
        self.journal: dict[int, Any] = {}
        self.sent = 0

    @rule(kind=st.sampled_from(["step", "memory", "phase"]))
    def add(self, kind: str) -> None:
        self.put += 1
        made = {"step": step, "memory": memory, "phase": phase}[kind](self.put)
        self.outbox.put(made)

    @rule(count=st.integers(1, 5))
    def send(self, count: int) -> None:
        batch = self.outbox.after(self.sent, count)
        numbers = [n for n, _ in batch]
        assert numbers == sorted(set(numbers))
        assert all(n > self.sent for n in numbers)
        for n, line in batch:
            self.journal[n] = messages.decode_entry(line)
            self.sent = n

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def confirm(self, data: st.DataObject) -> None:
        self.confirmed = max(self.confirmed, data.draw(st.integers(0, self.sent)))
        self.outbox.received(self.confirmed)

    @rule()
    def reconnect(self) -> None:
        self.sent = self.confirmed

    @invariant()
    def space_is_bounded(self) -> None:
        for shelf, space in (
            (self.outbox._samples, self.SAMPLE_SPACE),
            (self.outbox._others, self.SPACE),
        ):
            held = sum(len(self.outbox._lines[n][1]) for n in shelf.numbers)
            assert held == shelf.filled
            # One `dropped` message may stand over until the next `put`.
            assert held <= space + 200 or len(shelf.numbers) == 1
        assert len(self.outbox._lines) == sum(
            len(s.numbers) for s in (self.outbox._samples, self.outbox._others)
        )

    @invariant()
    def nothing_confirmed_is_kept(self) -> None:
        assert all(n > self.confirmed for n in self.outbox._lines)

    def teardown(self) -> None:
        while batch := self.outbox.after(self.sent, 7):
            for n, line in batch:
                self.journal[n] = messages.decode_entry(line)
            self.sent = batch[-1][0]
        kept = [e for e in self.journal.values() if not isinstance(e, messages.Dropped)]
        told = sum(e.count for e in self.journal.values() if isinstance(e, messages.Dropped))
        # What was sent and dropped before it was confirmed is both there and told.
        assert len(kept) <= self.put <= len(kept) + told
        self.outbox.received(self.sent)
        assert self.outbox.empty


TestModel = Model.TestCase
TestModel.settings = quick


@pytest.mark.parametrize("kind", SAMPLES)
def test_every_sample_kind_is_a_message_of_the_trainer(kind: str) -> None:
    tags = {k.__struct_config__.tag for k in messages.FromTrainer.__args__}
    assert kind in tags
