"""Orders take effect at optimizer-step boundaries that all ranks agree on.

Rank 0 hears the orders. As it enters the optimizer's part of a step it posts what shall happen
after that step, under the next decision number; every rank reads that decision when its step is
done. By then it has long been there, because no rank's optimizer step ends before rank 0's has
begun (they exchange gradients): a read, not a collective, and no wait. While paused no rank is
in any collective, so nothing can time out: they poll for the next decision.
"""

from __future__ import annotations

import time
from typing import Literal, TypeAlias

import msgspec

from trainer.contract.messages import Ack, AnyOrder
from trainer.orders import Orders
from trainer.store import Store

AckState: TypeAlias = Literal["accepted", "done", "refused"]

POLL = 0.05
KEPT = 64
"""Decisions that stay in the store behind the newest one: far more than ranks can be apart."""

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(list[AnyOrder])


class Control:
    """What each rank asks at its step boundaries. Only rank 0's orders count."""

    def __init__(self, store: Store, orders: Orders) -> None:
        self._store = store
        self._orders = orders
        self._posted = 0
        self._read = 0
        self._dropped = 0

    @property
    def leads(self) -> bool:
        """Whether this is the rank that hears the orders."""
        return self._store.rank == 0

    def post(self) -> None:
        """Rank 0: fix what happens after this step."""
        if self.leads:
            self._post(self._orders.take_all())

    def agreed(self) -> list[AnyOrder]:
        """The orders to follow now, the same on every rank; once for each `post`."""
        decision = self._next()
        # Only here, for all ranks have just trained a step together; in a pause one of them may
        # be any number of decisions behind.
        while self.leads and self._dropped < self._read - KEPT:
            self._dropped += 1
            self._store.drop(self._key(self._dropped))
        return decision

    def wait(self) -> list[AnyOrder]:
        """While paused: the next orders, awaited however long."""
        key = self._key(self._read + 1)
        while True:
            if self.leads:
                if (order := self._orders.take(POLL)) is not None:
                    self._post([order])
                    return self._next()
            elif self._store.peek(key) is not None:
                return self._next()
            else:
                time.sleep(POLL)

    def _next(self) -> list[AnyOrder]:
        self._read += 1
        decision: list[AnyOrder] = _decoder.decode(self._store.take(self._key(self._read)))
        return decision

    def _post(self, orders: list[AnyOrder]) -> None:
        self._posted += 1
        self._store.put(self._key(self._posted), _encoder.encode(orders))

    def _key(self, number: int) -> str:
        return f"decision/{number}"


def ack(order: AnyOrder, state: AckState, step: int, reason: str = "") -> Ack:
    """What became of an order."""
    command = str(order.__struct_config__.tag)
    return Ack(id=order.id, command=command, state=state, step=step, reason=reason)
