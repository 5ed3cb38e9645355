"""Reading the journal of a run. Torn and foreign lines are passed over, whoever left them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from trainer.contract import messages
from trainer.contract.messages import Entry

CHUNK = 4 * 2**20
_BLOCK = 2**16


class _Numbered(msgspec.Struct):
    seq: int = 0


_numbered = msgspec.json.Decoder(_Numbered)


class LineTail:
    """Reads the whole lines that a growing file has gained; the file need not exist yet."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.offset = 0
        """Where to read on."""
        self.rest = b""
        """What was read of a line that has no newline yet."""

    def chunks(self) -> Iterator[list[bytes]]:
        """The new lines, without newlines, some megabytes at a time."""
        while (lines := self.next_chunk(CHUNK)) is not None:
            yield lines

    def next_chunk(self, size: int) -> list[bytes] | None:
        """The lines that end in the next so many bytes, without newlines; None at the end, which
        may move later on."""
        try:
            with self._path.open("rb") as file:
                file.seek(self.offset)
                data = file.read(size)
        except OSError:
            return None
        if not data:
            return None
        self.offset += len(data)
        *lines, self.rest = (self.rest + data).split(b"\n")
        return lines


class Tail(LineTail):
    """Reads what a journal has gained since the last call."""

    def read_new(self) -> list[Entry]:
        """The new entries. The last line counts when its newline is there."""
        return [entry for lines in self.chunks() for entry in messages.decode_entries(lines)]


def each(path: Path) -> Iterator[Entry]:
    """All entries, of which some megabytes are in memory at a time."""
    tail = LineTail(path)
    for lines in tail.chunks():
        yield from messages.decode_entries(lines)
    if (last := messages.decode_entry(tail.rest)) is not None:
        yield last


def read(path: Path) -> list[Entry]:
    """All entries; none if there is no journal."""
    return list(each(path))


def read_ends(path: Path, head: int = 2**17, tail: int = 2**20) -> list[Entry]:
    """The first and the last entries of a long journal (all of a short one): enough to tell what
    the run is and what it does, at a price that does not grow with it. Sizes in bytes."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            if size <= head + tail:
                return read(path)
            file.seek(0)
            first = file.read(head).split(b"\n")[:-1]
            file.seek(size - tail)
            last = file.read(tail).split(b"\n")[1:]
    except OSError:
        return []
    return messages.decode_entries(first + last)


def seq_of(line: bytes) -> int:
    """The number of a journal line; 0 if it has none."""
    try:
        return _numbered.decode(line).seq
    except (msgspec.DecodeError, UnicodeDecodeError):
        return 0


def last_seq(path: Path) -> int:
    """The number of the newest entry, found from the end; 0 for an empty or missing journal."""
    try:
        with path.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            tail = b""
            while end > 0:
                start = max(0, end - _BLOCK)
                file.seek(start)
                tail = file.read(end - start) + tail
                first, *lines = tail.split(b"\n")
                # The first piece may begin in the middle of a line, unless it begins the file.
                for line in reversed(lines if start else [first, *lines]):
                    if seq := seq_of(line):
                        return seq
                tail = first
                end = start
    except OSError:
        pass
    return 0


def offset_after(path: Path, seq: int) -> int:
    """Where the first entry after number `seq` begins, in bytes, found by bisection."""
    try:
        with path.open("rb") as file:
            low, high = 0, file.seek(0, os.SEEK_END)
            # Every line that begins before low is wanted no more; from high on all are wanted.
            while low < high:
                middle = (low + high) // 2
                # low begins a line; the middle may lie in one, and then the next one counts.
                start = low
                if middle > low:
                    file.seek(middle - 1)
                    start = middle - 1 + len(file.readline())
                file.seek(start)
                while start < high and (line := file.readline()):
                    if number := seq_of(line):
                        break
                    start += len(line)
                else:
                    high = middle
                    continue
                if number <= seq:
                    low = start + len(line)
                else:
                    high = middle
            return low
    except OSError:
        return 0
