"""Making and growing an index: journal lines in, blocks out."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np

from cockpit import columns
from cockpit.columns import Array
from cockpit.index import block
from cockpit.index.read import scan
from trainer.contract import messages
from trainer.contract.messages import Step

BULK = 4 * 2**20
"""Bytes that are made a block at once where a lot is to be done."""
ROOM = 64 * 2**20
"""Bytes that must be free on the disk: the last ones are the journal's and the checkpoints'."""


class _Line(msgspec.Struct):
    """What every entry may have."""

    type: str
    seq: int = 0
    attempt: int = 0
    step: int = 0


_lines = msgspec.json.Decoder(_Line)


class Indexer:
    """Keeps an index behind a journal. It has a file of its own and never touches the journal;
    whatever fails raises OSError, and the index is as it was before."""

    def __init__(self, journal: Path, index: Path) -> None:
        self._journal_path, self._path = journal, index
        self._journal = self._file = -1
        self._size = 0
        self.end = 0
        """Up to which byte of the journal everything is in the index."""
        self.seq = 0

    def open(self) -> None:
        """Go on with what is there, if it fits the journal. A torn end is cut off; but blocks about
        another journal may be in use by a reader, so then the file is left to it, for a new one."""
        self._journal = os.open(self._journal_path, os.O_RDONLY)
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        self._size = self.end = self.seq = 0
        for head, body in scan(self._file, self._journal):
            self.end, self.seq, self._size = head.end, head.seq, body + head.body
        if os.fstat(self._file).st_size == self._size:
            return
        try:
            block.read_head(self._file, self._size)
        except block.Damaged:
            if self._size:
                os.ftruncate(self._file, self._size)
                return
        os.close(self._file)
        self._path.unlink(missing_ok=True)
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        self._size = self.end = self.seq = 0

    def advance(self, size: int, least: int) -> bool:
        """Index the next stretch of a journal that has `size` bytes of whole lines, if it has
        gained `least` bytes; whether there may be more to do."""
        if self._moved():
            self.close()
        if self._file < 0:
            self.open()
        if size - self.end < max(least, 1):
            return False
        self._check_room()
        data = _whole_lines(self._journal, self.end, size)
        if not data:
            return False
        made = _block(self._journal, data, self.end, self.seq)
        self._append(made[0])
        self.end, self.seq = self.end + len(data), made[1]
        return True

    def _moved(self) -> bool:
        """Whether another file, or none, is in the place of the one that is open."""
        if self._file < 0:
            return False
        try:
            there = self._path.stat()
        except OSError:
            return True
        here = os.fstat(self._file)
        return (there.st_dev, there.st_ino) != (here.st_dev, here.st_ino)

    def _check_room(self) -> None:
        disk = os.fstatvfs(self._file)
        if disk.f_bavail * disk.f_frsize < ROOM:
            raise OSError(f"less than {ROOM >> 20} MiB free: no index is written")

    def _append(self, data: bytes) -> None:
        try:
            written = os.pwrite(self._file, data, self._size)
            if written < len(data):
                raise OSError("the disk took only a part of an index block")
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self._size)
            raise
        self._size += len(data)

    def close(self) -> None:
        """Let go of the files."""
        for descriptor in (self._journal, self._file):
            if descriptor >= 0:
                os.close(descriptor)
        self._journal = self._file = -1


def build(journal: Path, index: Path, upto: int | None = None) -> None:
    """The index of a journal, all of it or the whole lines before byte `upto`. Raises OSError."""
    indexer = Indexer(journal, index)
    try:
        size = journal.stat().st_size if upto is None else upto
        while indexer.advance(size, 1):
            pass
    finally:
        indexer.close()


def _whole_lines(journal: int, start: int, size: int) -> bytes:
    """Some megabytes from a byte on, up to the end of a line; more where a line is that long."""
    length = BULK
    while True:
        data = os.pread(journal, min(length, size - start), start)
        end = data.rfind(b"\n") + 1
        if end or len(data) < length:
            return data[:end]
        length *= 2


def _block(journal: int, data: bytes, start: int, seq: int) -> tuple[bytes, int]:
    """The block of some whole lines, and the number of the last entry in them. Lines that are no
    entries, or that come again, are left out, as every reader of the journal does."""
    steps: list[Step] = []
    rewinds: list[tuple[int, int]] = []
    where: dict[str, list[tuple[int, int, int]]] = {}
    for offset, line in _lines_of(data):
        entry = _entry(line)
        if entry is None or 0 < entry.seq <= seq:
            continue
        seq = max(seq, entry.seq)
        if isinstance(entry, Step):
            steps.append(entry)
            continue
        if entry.type == "hello" and entry.attempt > 1:
            rewinds.append((len(steps), entry.step))
        step = entry.step if 0 <= entry.step < 2**32 else 0
        where.setdefault(entry.type, []).append((offset, len(line), step))
    end = start + len(data)
    entries: dict[str, Array] = {
        kind: np.ascontiguousarray(np.array(found, "<u4").T) for kind, found in where.items()
    }
    sample = block.sample(journal, start, end)
    made = block.encode(start, end, seq, sample, columns.of_steps(steps), rewinds, entries)
    return made, seq


def _lines_of(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    for line in data[:-1].split(b"\n"):
        yield at, line
        at += len(line) + 1


def _entry(line: bytes) -> _Line | Step | None:
    if b'"type":"step"' in line:
        entry = messages.decode_entry(line)
        if isinstance(entry, Step):
            return entry
    try:
        return _lines.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
