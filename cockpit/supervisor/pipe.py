"""The trainer's end: messages come up, orders and confirmations go down."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import msgspec

from cockpit.lines import LineBuffer
from cockpit.supervisor.notes import note
from cockpit.supervisor.sockets import Endpoint
from cockpit.supervisor.writer import PATIENCE, JournalWriter
from trainer.contract import messages
from trainer.contract.messages import AnyOrder, Entry, FromTrainer, Received

CONFIRM_EVERY = 0.2
_CHUNK = 2**17
_UNREAD = 2**20


class _Header(msgspec.Struct):
    """What every line has, of whatever type it is."""

    type: str
    seq: int = 0
    time: float = 0.0
    n: int = 0
    attempt: int = 0


_headers = msgspec.json.Decoder(_Header)
_TAGS = frozenset(str(kind.__struct_config__.tag) for kind in get_args(Entry))


class Pipe:
    """Takes the messages of one attempt at a time, each number once, and journals them. entries
    of known type are handed to on_entry as well. Orders go to every connection: the trainer tells
    them apart by id, and a dead connection may not yet know that it is."""

    def __init__(
        self, path: Path, journal: JournalWriter, on_entry: Callable[[Entry], None]
    ) -> None:
        self.endpoint = Endpoint(path, self._serve)
        self._journal = journal
        self._on_entry = on_entry
        self._writers: set[asyncio.StreamWriter] = set()
        self._attempt = 0
        self._last = 0
        self._told = 0
        self._confirm_at = 0.0
        self._confirming = False
        self._outstanding: Callable[[], list[AnyOrder]] = list
        self.garbage = 0
        """Lines that were no messages."""

    def expect(self, attempt: int, last: int, outstanding: Callable[[], list[AnyOrder]]) -> None:
        """Take messages of this attempt beyond number `last`; outstanding orders are sent to
        whoever connects."""
        self._attempt, self._last, self._told = attempt, last, 0
        self._journal.written = (attempt, last)
        self._outstanding = outstanding

    def order(self, order: AnyOrder) -> None:
        """Send an order to the trainer, if it is connected."""
        for writer in list(self._writers):
            self._send(writer, messages.encode(order))

    def confirm(self) -> None:
        """Tell the trainer what the journal holds, if that is news, and not too often."""
        attempt, number = self._journal.written
        if attempt != self._attempt or number <= self._told:
            return
        now = time.monotonic()
        if now < self._confirm_at:
            if not self._confirming:
                self._confirming = True
                asyncio.get_running_loop().call_later(self._confirm_at - now, self._confirm_late)
            return
        self._told, self._confirm_at = number, now + CONFIRM_EVERY
        line = messages.encode(Received(n=number, attempt=attempt))
        for writer in list(self._writers):
            self._send(writer, line)

    def _confirm_late(self) -> None:
        self._confirming = False
        self.confirm()

    async def drained(self, patience: float) -> None:
        """Wait until every connection has been read to its end."""
        deadline = time.monotonic() + patience
        while self._writers and time.monotonic() < deadline:
            self.confirm()
            await asyncio.sleep(0.02)

    def ingest(self, line: bytes) -> None:
        """Take one line of the trainer; it is in the journal after the next flush."""
        entry = messages.decode_entry(line)
        try:
            header = _headers.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self._refuse(line)
            return
        known = header.type in _TAGS
        if known and not isinstance(entry, FromTrainer):
            self._refuse(line)
            return
        if header.attempt not in (0, self._attempt) or (header.n and header.n <= self._last):
            return
        self._last = max(self._last, header.n)
        self._journal.take(_stamped(line, header, self._attempt), header.n, self._attempt)
        if entry is not None:
            self._on_entry(entry)

    def _refuse(self, line: bytes) -> None:
        self.garbage += 1
        if self.garbage <= 10:
            note(f"pipe: not a message: {line[:200]!r}")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        attempt, number = self._journal.written
        self._send(writer, messages.encode(Received(n=number, attempt=attempt)))
        for order in self._outstanding():
            self._send(writer, messages.encode(order))
        self._writers.add(writer)
        lines = LineBuffer(messages.LIMIT)
        try:
            while data := await reader.read(_CHUNK):
                for line in lines.feed(data):
                    self.ingest(line)
                self._journal.flush()
                self.confirm()
                await self._wait_for_the_disk()
        finally:
            self._writers.discard(writer)
            self.garbage += lines.skipped

    async def _wait_for_the_disk(self) -> None:
        """Read no further while much waits for the disk: the trainer keeps its messages then."""
        while self._journal.backlog > PATIENCE:  # noqa: ASYNC110 - polled by `flush` as well
            await asyncio.sleep(CONFIRM_EVERY)

    @staticmethod
    def _send(writer: asyncio.StreamWriter, line: bytes) -> None:
        """Write past asyncio, which upon an error would throw away what it has not read yet: the
        last words of a trainer that died."""
        waiting = writer.transport.get_write_buffer_size()
        if writer.is_closing() or waiting > _UNREAD:
            return
        sent = 0
        if not waiting:
            try:
                sent = os.write(writer.get_extra_info("socket").fileno(), line)
            except BlockingIOError:
                pass
            except OSError:
                return
        if sent < len(line):
            writer.write(line[sent:])


def _stamped(line: bytes, header: _Header, attempt: int) -> bytes:
    """The line as the journal keeps it: unknown fields unharmed, with time and attempt, without
    a seq."""
    line = line.strip()
    if header.seq:
        fields = msgspec.json.decode(line)
        del fields["seq"]
        line = msgspec.json.encode(fields)
    if not header.time:
        line = b'{"time":%.6f,"mono":%.6f,' % (time.time(), time.monotonic()) + line[1:]
    if not header.attempt:
        line = b'{"attempt":%d,' % attempt + line[1:]
    return line
