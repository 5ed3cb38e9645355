"""Orders that rank 0 has heard and the ranks have not yet agreed on."""

from __future__ import annotations

import contextlib
import queue
from collections import deque
from collections.abc import Callable

from trainer.contract.messages import AnyOrder


class Orders:
    """A queue from any thread to rank 0's loop. on_put, once set, is told of each order as it
    comes, and of those that came before."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[AnyOrder] = queue.SimpleQueue()
        self._untold: deque[AnyOrder] = deque()
        self._on_put: Callable[[AnyOrder], None] | None = None

    def put(self, order: AnyOrder) -> None:
        """Add an order."""
        self._untold.append(order)
        self._tell_untold()
        self._queue.put(order)

    def tell(self, on_put: Callable[[AnyOrder], None]) -> None:
        """From now on call on_put for each order; the earlier ones come now."""
        self._on_put = on_put
        self._tell_untold()

    def _tell_untold(self) -> None:
        # Without a lock: each order is popped by one thread, put's or tell's.
        while self._on_put and self._untold:
            with contextlib.suppress(IndexError):
                self._on_put(self._untold.popleft())

    def take_all(self) -> list[AnyOrder]:
        """The orders that are there, without waiting."""
        found: list[AnyOrder] = []
        while not self._queue.empty():
            found.append(self._queue.get())
        return found

    def take(self, timeout: float) -> AnyOrder | None:
        """The next order, awaited for so many seconds."""
        try:
            return self._queue.get(timeout=timeout)
        except queue.Empty:
            return None
