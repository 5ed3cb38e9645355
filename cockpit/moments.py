"""Failures and alarms of a run, and where their lines are in its log."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

from cockpit.logbook import ERROR, Levels, Line, search_file
from trainer.contract import messages
from trainer.contract.messages import Alarm, Failure, Launch, Step, System

READ = 4 * 2**20
"""Bytes before the end of an attempt in which a failure's lines are looked for."""
_KINDS = (b'"type":"failure"', b'"type":"alarm"')
_STEP, _SYSTEM, _LAUNCH = b'"type":"step"', b'"type":"system"', b'"type":"launch"'


class Moment(NamedTuple):
    """Something that one wants to see the log of. step is the last one done before; attempt is
    that in which it was; log_size is how long the log was, at most some seconds before; None where
    the journal does not tell."""

    time: float
    entry: Failure | Alarm
    step: int
    attempt: int
    log_size: int | None


class Moments:
    """Finds the moments in a journal, line by line."""

    def __init__(self) -> None:
        self._step = self._system = b""
        self._attempt = 1

    def take(self, lines: list[bytes]) -> Iterator[Moment]:
        """Those in the lines that follow."""
        for line in lines:
            if _STEP in line:
                self._step = line
            elif _SYSTEM in line:
                self._system = line
            elif _LAUNCH in line:
                self._attempt = max(launch.attempt, 1) if (launch := _last(line, Launch)) else 1
            elif any(kind in line for kind in _KINDS):
                entry = messages.decode_entry(line)
                if isinstance(entry, Failure) or (
                    isinstance(entry, Alarm) and entry.state == "raised"
                ):
                    yield self._moment(entry)

    def _moment(self, entry: Failure | Alarm) -> Moment:
        step, system = _last(self._step, Step), _last(self._system, System)
        at = entry.step if isinstance(entry, Alarm) else step.step if step else 0
        return Moment(entry.time, entry, at, self._attempt, system.log_size if system else None)


_T = TypeVar("_T", Launch, Step, System)


def _last(line: bytes, kind: type[_T]) -> _T | None:
    entry = messages.decode_entry(line) if line else None
    return entry if isinstance(entry, kind) else None


def place(log: Path, moment: Moment) -> int | None:
    """Where in the log to look: for a failure, where its traceback begins, or else the last that
    its attempt said; for an alarm, what was written at the time. None where that is unknown."""
    size = _size(log)
    if isinstance(moment.entry, Alarm):
        return None if moment.log_size is None else min(moment.log_size, size)
    start = next(search_file(log, f"--- attempt {moment.attempt} ---", size, -1), None)
    if start is None:
        return None
    end = next(search_file(log, "--- attempt ", _next(log, start), 1), size)
    return _best(_lines(log, max(start, end - READ), end), moment.entry)


def _best(lines: list[Line], failure: Failure) -> int | None:
    rank = failure.rank
    own = [n for n, line in enumerate(lines) if rank is None or line.rank == rank]
    probe = re.sub(r"^(?:rank \d+|the trainer)(?: failed)?: ", "", failure.text)[:80].casefold()
    named = [n for n in own if probe and probe in lines[n].text.casefold()]
    errors = [n for n in own if lines[n].level == ERROR]
    errors = errors or [n for n, line in enumerate(lines) if line.level == ERROR]
    if named or errors:
        at = (named or errors)[-1]
        return lines[_beginning(lines, at)].offset
    return lines[-1].offset if lines else None


def _beginning(lines: list[Line], at: int) -> int:
    """The first line of the traceback that ends here; else this one."""
    rank = lines[at].rank
    for n in range(at, max(at - 400, -1), -1):
        if lines[n].rank != rank:
            continue
        if lines[n].level != ERROR:
            break
        if "Traceback (most recent" in lines[n].text:
            return n
    return at


def _next(log: Path, start: int) -> int:
    with log.open("rb") as file:
        file.seek(start)
        return start + len(file.readline())


def _lines(log: Path, start: int, end: int) -> list[Line]:
    levels, found = Levels(), []
    try:
        with log.open("rb") as file:
            file.seek(start)
            data = file.read(max(end - start, 0))
    except OSError:
        return []
    offset = start
    for number, piece in enumerate(data.split(b"\n")):
        if piece and (number or not start):
            found.append(levels.line(offset, piece))
        offset += len(piece) + 1
    return found


def _size(log: Path) -> int:
    try:
        return log.stat().st_size
    except OSError:
        return 0
