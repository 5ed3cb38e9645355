"""Orders and small values over a real TCPStore: every rank sees the same at the same boundary."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from trainer_helpers import eventually, on_ranks

from trainer.contract import messages
from trainer.contract.messages import AnyOrder
from trainer.control import KEPT, Control, ack
from trainer.orders import Orders
from trainer.store import Store

Stores = Callable[[int], list[Store]]


def pause(name: str) -> messages.Pause:
    return messages.Pause(id=name)


def resume(name: str) -> messages.Resume:
    return messages.Resume(id=name)


class Ranks:
    """Ranks that train nothing, and exchange gradients by a barrier."""

    def __init__(self, stores: list[Store], delay: float = 0.0, late_in_pause: float = 0.0) -> None:
        self.orders = Orders()
        self.world = len(stores)
        self.steps_done = 0
        self._delay, self._late_in_pause = delay, late_in_pause
        self._exchange = threading.Barrier(self.world)
        self._controls = [Control(store, self.orders) for store in stores]

    def train(self, steps: int) -> list[list[tuple[int, str]]]:
        """What each rank followed: step (after which) and id of the order."""
        return on_ranks(self.world, lambda rank: self._rank(rank, steps))

    def _rank(self, rank: int, steps: int) -> list[tuple[int, str]]:
        control, chance, followed = self._controls[rank], random.Random(rank), []
        for step in range(1, steps + 1):
            time.sleep(chance.uniform(0, self._delay))
            control.post()
            self._exchange.wait(timeout=20)
            time.sleep(chance.uniform(0, self._delay))
            if rank == 0:
                self.steps_done = step
            for order in control.agreed():
                followed.append((step, order.id))
                if isinstance(order, messages.Pause):
                    time.sleep(self._late_in_pause * rank)
                    followed += [(step, order.id) for order in self._paused(control)]
        return followed

    def _paused(self, control: Control) -> list[AnyOrder]:
        heard: list[AnyOrder] = []
        while not any(isinstance(order, messages.Resume) for order in heard):
            heard += control.wait()
        return heard


@pytest.mark.parametrize("world", [1, 2, 3])
def test_all_ranks_follow_the_same_orders_after_the_same_step(stores: Stores, world: int) -> None:
    ranks = Ranks(stores(world), delay=0.004)

    def give_orders() -> None:
        for number in range(20):
            time.sleep(random.Random(number).uniform(0, 0.01))
            ranks.orders.put(messages.SaveCheckpoint(id=str(number)))

    giver = threading.Thread(target=give_orders)
    giver.start()
    followed = ranks.train(steps=60)
    giver.join()
    assert all(each == followed[0] for each in followed)
    assert [name for _, name in followed[0]] == [str(number) for number in range(20)]
    assert len({step for step, _ in followed[0]}) > 1, "they came at several boundaries"


def test_an_order_takes_effect_after_the_step_that_it_came_in(stores: Stores) -> None:
    ranks = Ranks(stores(2))
    ranks.orders.put(messages.SaveCheckpoint(id="first"))
    assert ranks.train(steps=3) == [[(1, "first")]] * 2


def test_no_step_while_paused_and_all_go_on_together(stores: Stores) -> None:
    ranks = Ranks(stores(3), delay=0.002)
    ranks.orders.put(pause("p"))
    result: list[Any] = []
    training = threading.Thread(target=lambda: result.extend(ranks.train(steps=5)))
    training.start()
    time.sleep(0.5)
    assert ranks.steps_done == 1
    ranks.orders.put(messages.SaveCheckpoint(id="c"))
    time.sleep(0.2)
    assert ranks.steps_done == 1
    ranks.orders.put(resume("r"))
    training.join(20)
    assert ranks.steps_done == 5
    assert result == [[(1, "p"), (1, "c"), (1, "r")]] * 3


def test_many_orders_at_once_while_paused_reach_every_rank(stores: Stores) -> None:
    """More than the store keeps, while another rank does not come to look."""
    count = 2 * KEPT
    ranks = Ranks(stores(2), late_in_pause=0.5)
    ranks.orders.put(pause("p"))
    result: list[Any] = []
    training = threading.Thread(target=lambda: result.extend(ranks.train(steps=3)), daemon=True)
    training.start()
    time.sleep(0.2)
    for number in range(count):
        ranks.orders.put(messages.Set(id=str(number), key="lr_scale", value=1))
    ranks.orders.put(resume("r"))
    training.join(35)
    expected = [(1, "p"), *((1, str(number)) for number in range(count)), (1, "r")]
    assert result == [expected, expected]


def test_the_store_keeps_only_the_newest_decisions(stores: Stores) -> None:
    made = stores(2)
    ranks = Ranks(made)
    ranks.train(steps=KEPT + 50)
    assert made[0].peek("decision/1") is None
    assert made[0].peek("decision/50") is None
    assert made[0].peek(f"decision/{KEPT + 50}") is not None


@pytest.mark.parametrize(
    ("order", "command"),
    [
        (messages.Pause(id="1"), "pause"),
        (messages.Resume(id="1"), "resume"),
        (messages.SaveCheckpoint(id="1"), "checkpoint"),
        (messages.Stop(id="1", checkpoint=False), "stop"),
        (messages.Set(id="1", key="lr_scale", value=0.5), "set"),
    ],
)
def test_an_answer_names_the_command_as_people_type_it(order: AnyOrder, command: str) -> None:
    answer = ack(order, "refused", 7, "because")
    assert (answer.id, answer.command, answer.state) == ("1", command, "refused")
    assert (answer.step, answer.reason) == (7, "because")


# --- store -------------------------------------------------------------------------------


def test_an_exchange_gives_every_rank_all_values_in_the_order_of_ranks(stores: Stores) -> None:
    made = stores(3)

    def part(rank: int) -> list[list[bytes]]:
        found = []
        for number in range(20):
            time.sleep(random.Random(rank * 100 + number).uniform(0, 0.003))
            value = f"{rank}:{number}".encode() + b"\x00\xff"
            found.append(made[rank].exchange(f"name/{number}", value))
        return found

    expected = [
        [f"{rank}:{number}".encode() + b"\x00\xff" for rank in range(3)] for number in range(20)
    ]
    assert on_ranks(3, part) == [expected] * 3


def test_an_exchange_waits_for_the_slowest_rank(stores: Stores) -> None:
    made = stores(2)

    def part(rank: int) -> float:
        time.sleep(0.4 * rank)
        started = time.monotonic()
        made[rank].exchange("slow", b"")
        return time.monotonic() - started

    fast, slow = on_ranks(2, part)
    assert 0.3 < fast < 2
    assert slow < 0.3


def test_a_share_gives_every_rank_the_value_of_the_first(stores: Stores) -> None:
    made = stores(3)

    def part(rank: int) -> bytes:
        if rank == 0:
            time.sleep(0.1)
        return made[rank].share("it", b"from rank 0" if rank == 0 else None)

    assert on_ranks(3, part) == [b"from rank 0"] * 3


def test_an_empty_value_is_a_value(stores: Stores) -> None:
    made = stores(2)
    assert on_ranks(2, lambda rank: made[rank].exchange("empty", b"")) == [[b"", b""]] * 2
    assert on_ranks(2, lambda rank: made[rank].share("none", b"" if rank == 0 else None)) == [
        b"",
        b"",
    ]


def test_a_value_can_be_looked_for_and_forgotten(stores: Stores) -> None:
    one, two = stores(2)
    assert two.peek("key") is None
    one.put("key", b"value")
    assert eventually(lambda: two.peek("key")) == b"value"
    assert two.take("key") == b"value"
    two.drop("key")
    assert one.peek("key") is None


def test_a_second_connection_is_not_held_up_by_a_read_that_waits(store_server: int) -> None:
    store = Store(0, 1)
    second = store.again()
    reading = threading.Thread(target=store.take, args=["later"], daemon=True)
    reading.start()
    second.put("other", b"1")
    assert second.take("other") == b"1"
    second.put("later", b"2")
    reading.join(5)
    assert not reading.is_alive()
