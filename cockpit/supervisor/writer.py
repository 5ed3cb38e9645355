"""Writing the journal: whole lines, numbered without gaps, whatever the disk does.

While the disk refuses, entries wait in memory. What was written of a line stays, and its rest
follows when there is space again, so a reader never meets a half line with something behind it.
Numbers are given as entries go to the file; nothing that has a number is ever dropped.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

import msgspec

from cockpit import journal
from trainer.contract import messages
from trainer.contract.messages import Message

PATIENCE = 8 * 2**20
"""Bytes that wait for the disk before the trainer's pipe is read no further; the trainer then
keeps its messages itself."""


class Waiting(msgspec.Struct):
    """An entry that has no number yet. n and attempt are those of a trainer's message, else 0."""

    line: bytes
    n: int = 0
    attempt: int = 0


class JournalWriter:
    """Appends to a journal."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1
        self._waiting: deque[Waiting] = deque()
        self._unwritten = b""
        self._in_flight = (0, 0)
        self._offset = 0
        self.on_written: Callable[[], None] = lambda: None
        """Called whenever whole lines were added."""
        self.seq = 0
        """Number of the newest entry in the file, or on its way there."""
        self.size = 0
        """Bytes of whole lines in the file."""
        self.backlog = 0
        """Bytes that are not in the file yet."""
        self.written: tuple[int, int] = (0, 0)
        """Attempt and number of the newest trainer's message in the file."""
        self.refusal: OSError | None = None
        """Why the disk takes nothing at present."""
        self.refused_at = 0.0
        """Since when (Unix time)."""

    def open(self) -> None:
        """Make or open the file, private to the user. A torn last line, left by a writer that was
        killed, is closed with a newline, so that the next entry stands alone. Raises OSError."""
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self._offset = self.size = os.fstat(self._descriptor).st_size
        self.seq = journal.last_seq(self._path)
        if self.size and os.pread(self._descriptor, 1, self.size - 1) != b"\n":
            self._unwritten = b"\n"
            self.backlog = 1
            self.flush()

    def append(self, message: Message) -> None:
        """Journal a message of the supervisor's own."""
        message.time, message.mono = message.time or time.time(), message.mono or time.monotonic()
        self._wait(Waiting(messages.encode(message)))
        self.flush()

    def take(self, line: bytes, n: int, attempt: int) -> None:
        """Have a trainer's line (without newline, without seq) written by the next `flush`."""
        self._wait(Waiting(line + b"\n", n, attempt))

    def _wait(self, entry: Waiting) -> None:
        self._waiting.append(entry)
        self.backlog += len(entry.line)

    def flush(self) -> bool:
        """Write what waits; whether all of it is in the file now."""
        grown = False
        try:
            while self._unwritten or self._number():
                count = os.write(self._descriptor, self._unwritten)
                grown = self._advance(count) or grown
        except OSError as error:
            if self.refusal is None:
                self.refused_at = time.time()
            self.refusal = error
        else:
            self.refusal = None
        if grown:
            self.on_written()
        return self.refusal is None

    def _number(self) -> bool:
        """Give numbers to some of what waits, and put it in flight."""
        parts: list[bytes] = []
        while self._waiting and len(parts) < 4096:
            entry = self._waiting.popleft()
            self.seq += 1
            numbered = b'{"seq":%d,' % self.seq + entry.line[1:]
            self.backlog += len(numbered) - len(entry.line)
            parts.append(numbered)
            if entry.n:
                self._in_flight = entry.attempt, entry.n
        self._unwritten = b"".join(parts)
        return bool(parts)

    def _advance(self, count: int) -> bool:
        end = self._unwritten.rfind(b"\n", 0, count)
        if end >= 0:
            self.size = self._offset + end + 1
        self._offset += count
        self.backlog -= count
        self._unwritten = self._unwritten[count:]
        if not self._unwritten:
            self.written = self._in_flight
        return end >= 0

    def close(self) -> None:
        """Write what can be written, and have it on the disk."""
        if self._descriptor < 0:
            return
        self.flush()
        with contextlib.suppress(OSError):
            os.fsync(self._descriptor)
        os.close(self._descriptor)
        self._descriptor = -1
