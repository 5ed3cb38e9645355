"""From every rank to rank 0's pipe, in order, without a collective and without making the
training thread wait.

The ranks leave their share of each step's loss, and their newest memory sample, in the store; a
thread of rank 0 collects them and sends the messages on.
"""

from __future__ import annotations

import queue
import struct
import threading
from collections.abc import Callable
from typing import Protocol

from trainer.contract import messages
from trainer.contract.messages import Memory, Message, Step
from trainer.store import Store

_double = struct.Struct("<d")


class Reporter(Protocol):
    """What the loop tells. Nothing here waits but `close`."""

    def send(self, message: Message) -> None:
        """A message of the whole run; told by rank 0 alone."""

    def step(self, step: Step, loss_share: float) -> None:
        """A step was done; its loss is the sum of all ranks' shares."""

    def memory(self, sample: Memory) -> None:
        """This rank's memory."""

    def close(self, patience: float) -> None:
        """Wait until everything told is in the outbox, for so many seconds at the most."""


class FollowingReporter:
    """On every rank but the first: leaves values in the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def send(self, message: Message) -> None:
        """See `Reporter`."""

    def step(self, step: Step, loss_share: float) -> None:
        """See `Reporter`."""
        self._store.put(_loss_key(step.step, self._store.rank), _double.pack(loss_share))

    def memory(self, sample: Memory) -> None:
        """See `Reporter`."""
        self._store.put(_memory_key(self._store.rank), messages.encode(sample))

    def close(self, patience: float) -> None:
        """See `Reporter`."""


class LeadingReporter:
    """On rank 0: a thread sends what is told, in order, with the other ranks' values."""

    def __init__(self, store: Store, send: Callable[[Message], None]) -> None:
        self._send = send
        self._store = store.again()
        self._told: queue.SimpleQueue[tuple[Message, float | None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._forward, name="report", daemon=True)
        self._thread.start()

    def send(self, message: Message) -> None:
        """See `Reporter`."""
        self._told.put((message, None))

    def step(self, step: Step, loss_share: float) -> None:
        """See `Reporter`."""
        self._told.put((step, loss_share))

    def memory(self, sample: Memory) -> None:
        """See `Reporter`."""
        self._told.put((sample, None))

    def close(self, patience: float) -> None:
        """See `Reporter`."""
        self._told.put(None)
        self._thread.join(patience)

    def _forward(self) -> None:
        while (item := self._told.get()) is not None:
            message, loss_share = item
            if isinstance(message, Step) and loss_share is not None:
                message.loss = loss_share + self._other_losses(message.step)
            self._send(message)
            if isinstance(message, Memory):
                self._send_other_memory()

    def _other_losses(self, step: int) -> float:
        total = 0.0
        for rank in range(1, self._store.world):
            key = _loss_key(step, rank)
            total += _double.unpack(self._store.take(key))[0]
            self._store.drop(key)
        return total

    def _send_other_memory(self) -> None:
        for rank in range(1, self._store.world):
            if line := self._store.peek(_memory_key(rank)):
                sample = messages.decode_entry(line)
                if isinstance(sample, Memory):
                    self._send(sample)


def _loss_key(step: int, rank: int) -> str:
    return f"loss/{step}/{rank}"


def _memory_key(rank: int) -> str:
    return f"memory/{rank}"
