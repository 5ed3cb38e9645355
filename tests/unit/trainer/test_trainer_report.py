"""What the ranks tell rank 0: in order, with every rank's share, and without waiting."""

from __future__ import annotations

import copy
import time
from typing import Any

import pytest
from torch.distributed import PrefixStore
from trainer_helpers import eventually, memory, phase, step

from trainer.contract import messages
from trainer.store import Store
from trainer.telemetry.report import FollowingReporter, LeadingReporter


class OwnStore(Store):
    """A store apart, whose second connection sees the same values."""

    prefix = ""

    def again(self) -> Store:
        second = super().again()
        second._store = PrefixStore(self.prefix, second._store)
        return second


@pytest.fixture
def ranks(store_server: int, request: pytest.FixtureRequest) -> list[OwnStore]:
    # The leading rank reads on a second connection, so these may share one for their writes.
    made = [OwnStore(0, 3)]
    made[0].prefix = request.node.name
    made[0]._store = PrefixStore(request.node.name, made[0]._store)
    for rank in (1, 2):
        made.append(copy.copy(made[0]))
        made[rank].rank = rank
    return made


def test_a_loss_is_the_sum_of_all_ranks_shares_and_order_stays(ranks: list[OwnStore]) -> None:
    sent: list[Any] = []
    leading = LeadingReporter(ranks[0], sent.append)
    following = [FollowingReporter(store) for store in ranks[1:]]
    for number in range(1, 11):
        leading.step(step(number, loss=None), 0.5)
        leading.send(phase(number))
    time.sleep(0.1)
    assert sent == [], "the first step waits for the others' shares"
    for number in range(1, 11):
        for reporter in following:
            reporter.step(step(number, loss=None), 0.125 * number)
    leading.close(10)
    kinds = [type(message) for message in sent]
    assert kinds == [messages.Step, messages.Phase] * 10
    assert [m.loss for m in sent[::2]] == [0.5 + 0.25 * n for n in range(1, 11)]


def test_telling_never_waits_for_another_rank(ranks: list[OwnStore]) -> None:
    leading = LeadingReporter(ranks[0], lambda message: None)
    started = time.monotonic()
    for number in range(1, 1001):
        leading.step(step(number, loss=None), 1.0)
    assert time.monotonic() - started < 1
    started = time.monotonic()
    leading.close(patience=0.2)
    assert time.monotonic() - started < 2, "nor does the end wait for ranks that are gone"
    for store in ranks[1:]:
        for number in range(1, 1001):
            FollowingReporter(store).step(step(number, loss=None), 1.0)
    leading._thread.join(20)
    assert not leading._thread.is_alive()


def test_memory_of_every_rank_follows_that_of_the_first(ranks: list[OwnStore]) -> None:
    sent: list[Any] = []
    for rank in (1, 2):
        sample = memory(7)
        sample.rank = rank
        FollowingReporter(ranks[rank]).memory(sample)
        eventually(lambda rank=rank: ranks[0].peek(f"memory/{rank}"))
    leading = LeadingReporter(ranks[0], sent.append)
    leading.memory(memory(8))
    leading.close(10)
    assert [(m.rank, m.step) for m in sent] == [(0, 8), (1, 7), (2, 7)]


def test_what_other_ranks_tell_of_the_run_is_told_once_by_the_first(ranks: list[OwnStore]) -> None:
    sent: list[Any] = []
    leading = LeadingReporter(ranks[0], sent.append)
    for reporter in (leading, *(FollowingReporter(store) for store in ranks[1:])):
        reporter.send(phase(1))
    leading.close(10)
    assert sent == [phase(1)]
