"""Messages on their way to the journal: numbered, bounded, kept until they are known to be there.

Putting a message in never waits. Samples and all else have separate spaces; when one is used up
because nobody reads, its oldest go; what was dropped is counted by type and told in a `dropped`
message.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque

from trainer.contract import messages
from trainer.contract.messages import Message

SAMPLES = ("memory", "experts", "log", "dropped")
SAMPLE_SPACE = 4 * 2**20
SPACE = 64 * 2**20
"""Bytes of encoded messages that are kept while nobody reads; samples have less."""


class Outbox:
    """A thread-safe queue of encoded messages. `put` is called by any thread; the pipe's thread
    reads with `after` and forgets with `received`."""

    def __init__(self, attempt: int, space: int = SPACE, sample_space: int = SAMPLE_SPACE) -> None:
        self.attempt = attempt
        self._lock = threading.Lock()
        self._lines: dict[int, tuple[str, bytes]] = {}
        self._samples = _Shelf(sample_space)
        self._others = _Shelf(space)
        self._last = 0
        self._dropped: Counter[str] = Counter()

    def put(self, message: Message) -> None:
        """Number and keep a message."""
        with self._lock:
            self._make_room(self._keep(message))

    def after(self, number: int, count: int = 256) -> list[tuple[int, bytes]]:
        """Up to `count` messages beyond a number, in order; what had to go is told by a `dropped`
        message behind them."""
        with self._lock:
            if self._dropped:
                kinds = dict(self._dropped)
                self._dropped.clear()
                # This makes no room for itself: the next `put` does, or telling would never end.
                self._keep(messages.Dropped(count=sum(kinds.values()), kinds=kinds))
            found = []
            for n in range(max(number, next(iter(self._lines), 1) - 1) + 1, self._last + 1):
                if n in self._lines:
                    found.append((n, self._lines[n][1]))
                    if len(found) == count:
                        break
            return found

    def received(self, number: int) -> None:
        """Forget the messages up to a number: the journal holds them."""
        with self._lock:
            for shelf in (self._samples, self._others):
                while shelf.numbers and shelf.numbers[0] <= number:
                    self._forget_oldest(shelf)

    @property
    def empty(self) -> bool:
        """Whether the journal holds everything."""
        with self._lock:
            return not self._dropped and not self._lines

    def _keep(self, message: Message) -> _Shelf:
        self._last += 1
        message.n, message.attempt = self._last, self.attempt
        message.time, message.mono = time.time(), time.monotonic()
        kind = str(message.__struct_config__.tag)
        line = messages.encode(message)
        shelf = self._samples if kind in SAMPLES else self._others
        self._lines[self._last] = kind, line
        shelf.numbers.append(self._last)
        shelf.filled += len(line)
        return shelf

    def _make_room(self, shelf: _Shelf) -> None:
        while shelf.filled > shelf.space and len(shelf.numbers) > 1:
            kind, line = self._forget_oldest(shelf)
            lost = messages.decode_entry(line) if kind == "dropped" else None
            # What a lost `dropped` message told is told by the next one.
            self._dropped.update(lost.kinds if isinstance(lost, messages.Dropped) else {kind: 1})

    def _forget_oldest(self, shelf: _Shelf) -> tuple[str, bytes]:
        kind, line = self._lines.pop(shelf.numbers.popleft())
        shelf.filled -= len(line)
        return kind, line


class _Shelf:
    """The numbers of kept messages that share some space."""

    def __init__(self, space: int) -> None:
        self.space = space
        self.filled = 0
        self.numbers: deque[int] = deque()
