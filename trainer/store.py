"""Small values that ranks leave for each other in torchrun's own TCPStore; never a collective."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import timedelta

from torch.distributed import PrefixStore, TCPStore

WAIT = timedelta(hours=12)
"""How long a read waits for a value that must come. A rank that died ends the others sooner:
torchrun sees to that."""


class Store:
    """A connection to the store that torchrun hosts. One connection must not be shared between
    threads: a waiting read would hold up the other thread."""

    def __init__(self, rank: int, world: int) -> None:
        self.rank, self.world = rank, world
        server = TCPStore(
            os.environ["MASTER_ADDR"],
            int(os.environ["MASTER_PORT"]),
            is_master=False,
            wait_for_workers=False,
            timeout=WAIT,
        )
        self._store = PrefixStore("l4cockpit", server)

    def again(self) -> Store:
        """A second connection, for another thread."""
        return Store(self.rank, self.world)

    def put(self, key: str, value: bytes) -> None:
        """Set a value."""
        self._store.set(key, value)  # type: ignore[arg-type]  # takes bytes too

    def take(self, key: str) -> bytes:
        """The value, awaited."""
        return bytes(self._store.get(key))

    def peek(self, key: str) -> bytes | None:
        """The value, or None if there is none yet."""
        return bytes(self._store.get(key)) if self._store.check([key]) else None

    def drop(self, key: str) -> None:
        """Forget a value."""
        self._store.delete_key(key)

    def exchange(self, name: str, value: bytes) -> list[bytes]:
        """Every rank's value, in the order of ranks; each name serves once. Waits for all, by
        polling, so that a rank may be slow for hours without anything timing out."""
        self.put(f"{name}/{self.rank}", value)
        keys = [f"{name}/{rank}" for rank in range(self.world)]
        for pause in _pauses():
            if self._store.check(keys):
                return [self.take(key) for key in keys]
            time.sleep(pause)
        raise AssertionError("unreachable")

    def share(self, name: str, value: bytes | None) -> bytes:
        """Rank 0's value on every rank; the others pass None. Each name serves once."""
        if value is not None:
            self.put(name, value)
            return value
        for pause in _pauses():
            if (found := self.peek(name)) is not None:
                return found
            time.sleep(pause)
        raise AssertionError("unreachable")


def _pauses() -> Iterator[float]:
    """Seconds between polls: short at first, a twentieth at the most."""
    pause = 0.001
    while True:
        yield pause
        pause = min(0.05, pause * 1.5)
