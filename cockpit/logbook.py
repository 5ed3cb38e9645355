"""The trainer's log as a screen needs it: a window of lines, each with its rank and level.

A log may be of any size, so a few megabytes of it are held. Lines are named by the byte at which
they begin, which stays true whatever part is held.
"""

from __future__ import annotations

import os
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

WINDOW = 4 * 2**20
"""Bytes that are held, about."""
MOST = 40_000
"""Lines that are held."""
LONGEST = 4000
"""Characters of a line that are kept."""
DEBUG, INFO, WARNING, ERROR = range(4)
LEVELS = ("all", "info", "warnings", "errors")

_RANK = re.compile(r"\[rank (\d+)\] ?")
_RANK_AGAIN = re.compile(r"\[rank\d+\]:? ?")  # torch itself puts it before a traceback
_ERROR = re.compile(
    r"\b(?:ERROR|CRITICAL|FATAL)\b|^[EF]\d{4} \d\d:\d\d|^Traceback \(most recent|"
    r"^(?:[A-Za-z_][\w.]*\.)?[A-Za-z_]*(?:Error|Exception|Interrupt)(?::|$)|"
    r"^Fatal Python error|\bSegmentation fault\b"
)
_WARNING = re.compile(r"\bWARN(?:ING)?\b|^W\d{4} \d\d:\d\d|\b[A-Za-z]*Warning:")
_DEBUG = re.compile(r"\bDEBUG\b|^D\d{4} \d\d:\d\d")
_HEADER = re.compile(r"^--- attempt (\d+) ---")


class Line(NamedTuple):
    """offset is where it begins in the file; rank None is torchrun; attempt is that of a line
    with which an attempt begins, else 0."""

    offset: int
    rank: int | None
    level: int
    text: str
    attempt: int = 0


class Levels:
    """Tells ranks and levels of lines that follow one another: a traceback is an error from its
    first line to its last."""

    def __init__(self) -> None:
        self._in_traceback: set[int | None] = set()

    def line(self, offset: int, data: bytes) -> Line:
        """The line that these bytes are."""
        # What a progress bar wrote over and over: its last state.
        text = data.rstrip(b"\r").rpartition(b"\r")[2][:LONGEST].decode(errors="replace")
        if header := _HEADER.match(text):
            self._in_traceback.clear()
            return Line(offset, None, INFO, text, int(header[1]))
        rank = None
        if match := _RANK.match(text):
            rank, text = int(match[1]), text[match.end() :]
        return Line(offset, rank, self._level(rank, _RANK_AGAIN.sub("", text, count=1)), text)

    def _level(self, rank: int | None, text: str) -> int:
        if text.startswith("Traceback (most recent"):
            self._in_traceback.add(rank)
            return ERROR
        if rank in self._in_traceback:
            if text[:1] not in (" ", "\t", ""):  # the exception itself
                self._in_traceback.discard(rank)
            return ERROR
        if _ERROR.search(text):
            return ERROR
        if _WARNING.search(text):
            return WARNING
        return DEBUG if _DEBUG.search(text) else INFO


class Kept(NamedTuple):
    """Which lines are wanted. rank -1 is torchrun, None all; level is the least."""

    rank: int | None = None
    level: int = DEBUG

    def of(self, lines: Iterable[Line]) -> list[Line]:
        """Those lines. The beginning of an attempt is always one of them."""
        rank = None if self.rank == -1 else self.rank
        every = self.rank is None
        return [
            line
            for line in lines
            if line.attempt or (line.level >= self.level and (every or line.rank == rank))
        ]


class LogWindow:
    """A stretch of a log file: its end, which can be followed, or the lines around any place."""

    def __init__(self, path: Path, window: int = WINDOW, most: int = MOST) -> None:
        self._path, self._window, self._most = path, window, most
        self.lines: list[Line] = []
        self.end = 0
        """Where the held stretch ends."""
        self._levels = Levels()

    @property
    def start(self) -> int:
        """Where the held stretch begins."""
        return self.lines[0].offset if self.lines else 0

    def load(self, around: int | None = None) -> None:
        """Hold the end of the log, or what lies around a place of it."""
        size = self.size()
        middle = size if around is None else around
        start = max(0, min(middle - self._window // 2, size - self._window))
        if around is None:
            start = max(0, size - self._window)
        self.lines, self.end, self._levels = [], start, Levels()
        self._take(start, cut=start > 0, limit=self._window)
        if len(self.lines) > self._most:
            at = self.index(middle) if around is not None else len(self.lines)
            first = max(0, min(at - self._most // 2, len(self.lines) - self._most))
            self.lines = self.lines[first : first + self._most]
            self.end = self._end_of(self.lines[-1])

    def grow(self) -> bool:
        """Take in what follows the held stretch; what is held for longest goes. Whether there was
        anything. A file that became shorter is read anew."""
        if self.size() < self.end:
            self.load()
            return True
        before = self.end
        self._take(self.end, cut=False, limit=self._window // 4)
        if len(self.lines) > self._most or self.end - self.start > 2 * self._window:
            self.lines = self.lines[len(self.lines) // 3 :]
        return self.end != before

    def size(self) -> int:
        """Bytes of the file."""
        try:
            return self._path.stat().st_size
        except OSError:
            return 0

    def index(self, offset: int) -> int:
        """The held line that begins at or after a place."""
        return bisect_left(self.lines, offset, key=lambda line: line.offset)

    def _end_of(self, line: Line) -> int:
        with self._path.open("rb") as file:
            file.seek(line.offset)
            return line.offset + len(file.readline())

    def _take(self, start: int, cut: bool, limit: int) -> None:
        """Read lines from a place on. cut: it may lie in the middle of one, which is left out. A
        line without an end waits for it, unless it alone is more than the limit."""
        try:
            with self._path.open("rb") as file:
                file.seek(start)
                data = file.read(limit)
        except OSError:
            return
        whole, newline, rest = data.rpartition(b"\n")
        if not newline:
            if len(data) < limit:
                return
            whole, rest = data, b""
        offset = start
        for number, piece in enumerate(whole.split(b"\n")):
            if number or not cut:
                self.lines.append(self._levels.line(offset, piece))
            offset += len(piece) + 1
        self.end = start + len(data) - len(rest)


def found(lines: Sequence[Line], query: str, at: int, by: int) -> int | None:
    """The index of the next line (by 1) or the one before (by −1) that holds the query, whatever
    its case, beginning beside index `at`; None if there is none."""
    wanted = query.casefold()
    places = range(at + 1, len(lines)) if by > 0 else range(min(at, len(lines)) - 1, -1, -1)
    return next((n for n in places if wanted in lines[n].text.casefold()), None)


def search_file(path: Path, query: str, start: int, by: int) -> Iterator[int]:
    """The offsets of the lines of a file that hold the query, from a place on to its end, or back
    to its beginning. Upper and lower case are the same in ASCII alone."""
    wanted = query.lower().encode()
    for first, data in _blocks(path, start, by):
        low = data.lower()
        places: list[int] = []
        at = low.find(wanted)
        while at >= 0:
            places.append(first + low.rfind(b"\n", 0, at) + 1)
            at = low.find(b"\n", at)
            at = -1 if at < 0 else low.find(wanted, at)
        yield from places if by > 0 else reversed(places)


def _blocks(path: Path, start: int, by: int) -> Iterator[tuple[int, bytes]]:
    """Stretches of whole lines with their offsets, on from a line's beginning, or back from it."""
    try:
        with path.open("rb") as file:
            if by > 0:
                file.seek(start)
                while data := file.read(WINDOW) + file.readline():
                    yield start, data
                    start += len(data)
                return
            while start > 0:
                start, data = _stretch_before(file.fileno(), start)
                yield start, data
    except OSError:
        return


def _stretch_before(descriptor: int, end: int) -> tuple[int, bytes]:
    """Whole lines up to a place where one begins: where they begin, and what they are."""
    size = WINDOW
    while True:
        first = max(0, end - size)
        data = os.pread(descriptor, end - first, first)
        cut = data.find(b"\n") + 1 if first else 0
        if not first or 0 < cut < len(data):
            return first + cut, data[cut:]
        size *= 2  # the line is longer than that
