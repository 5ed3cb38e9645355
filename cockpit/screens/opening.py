"""Opening a run, however long its journal is: the newest first. No Textual here.

What the index covers is not parsed: steps come as columns from it, and of the other entries only
those that a screen can show. Where the index is missing or far behind, the newest megabytes of the
journal make the first picture, and the rest comes when the index has been made (filling.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cockpit.columns import Array
from cockpit.figures import Figures
from cockpit.index.read import Index, StepBlock
from cockpit.runs import Run
from trainer.contract import messages
from trainer.contract.messages import Entry

TAIL = 2**21
"""Most bytes of the journal behind the index that are parsed before the first picture."""
NEAR = 2**18
"""Bytes at the end that are always parsed: state, speed and memory are of there."""
HEAD = 2**17
STORY = 4096
"""Entries, other than figures, that are looked up; an event list shows fewer."""
VITAL = frozenset((
    "hello", "launch", "end", "supervisor", "failure", "command", "ack", "phase", "checkpoint",
    "alarm", "acknowledged", "eval",
))  # fmt: skip
"""Kinds that decide how a run stands; looked up even where logs outnumber them."""
FIGURES = frozenset(("memory", "system", "experts", "balance", "updates"))
"""Kinds that come all the time; the newest of each are looked up."""
_LATEST = 64
CHARTED = FIGURES | {"eval"}
"""Kinds whose numbers are charted over the whole run."""
POINTS, LEAST = 2048, 64
WEIGHT = 2**23
"""How many entries of each of them are read for that: no more than POINTS, nor (while it is more
than LEAST) than have so many bytes together."""
_GOLDEN = (5**0.5 - 1) / 2
_OF_A_MOMENT = (
    messages.Step, messages.Memory, messages.System, messages.Experts, messages.Balance,
    messages.Updates, messages.Eval,
)  # fmt: skip


@dataclass
class Opening:
    """What was read of a run: blocks of steps, a selection of the entries up to where those end,
    and all entries after. offset is the byte of the journal to read on from; steps between the
    blocks and byte `missing` are not there yet (0: all are)."""

    index: Index
    blocks: list[StepBlock] = field(default_factory=list)
    before: list[Entry] = field(default_factory=list)
    tail: list[Entry] = field(default_factory=list)
    offset: int = 0
    missing: int = 0


def read(run: Run) -> Opening:
    """What the first picture of a run is made of: a few megabytes at most, whatever the length of
    the journal. What cannot be read is left out."""
    opening = Opening(Index(run.journal, run.index))
    try:
        size = run.journal.stat().st_size
        opening.blocks = opening.index.refresh()
        _read(run.journal, size, opening)
    except OSError:
        return Opening(opening.index)
    return opening


def _read(journal: Path, size: int, opening: Opening) -> None:
    index = opening.index
    start = index.end
    if size - start > TAIL:
        start = opening.missing = line_start(journal, size - TAIL)
    near = min(line_start(journal, size - NEAR), start)
    if index.end:
        opening.before = index.read(worth_looking_up(index, near))
    elif opening.missing:
        head = entries(journal, 0, min(HEAD, near))[0]
        opening.before = [entry for entry in head if not isinstance(entry, _OF_A_MOMENT)]
    opening.before += entries(journal, near, start)[0]
    opening.tail, opening.offset = entries(journal, start, size)


def worth_looking_up(index: Index, end: int) -> Array:
    """Where the entries before a byte of the journal are that a picture needs (see Index)."""
    kinds = index.kinds
    found = [index.newest(kinds - FIGURES, STORY, end), index.newest(kinds & VITAL, STORY, end)]
    found += [index.newest({kind}, _LATEST, end) for kind in kinds & FIGURES]
    where = np.concatenate(found, axis=1)
    return where[:, np.unique(where[0], return_index=True)[1]]


def charted(index: Index) -> Figures:
    """The numbers that come between steps, as many of them, evenly spread over the run, as a chart
    has use for. Raises OSError."""
    found = [index.entries("hello")]
    for kind in index.kinds & CHARTED:
        where = index.entries(kind)
        mean = max(float(where[1].mean()), 1.0) if where.shape[1] else 1.0
        found.append(where[:, spread(where.shape[1], max(LEAST, min(POINTS, int(WEIGHT / mean))))])
    where = np.concatenate(found, axis=1)
    figures = Figures()
    figures.take(index.read(where[:, np.argsort(where[0])]))
    return figures


def spread(count: int, most: int) -> Array:
    """Which of `count` things to take so that there are no more than `most`: one of each part, but
    not always at the same place of it, lest they be all of the same rank."""
    if count <= most:
        return np.arange(count)
    parts = np.arange(most)
    return np.unique(((parts + parts * _GOLDEN % 1) * count / most).astype(np.int64))


def line_start(path: Path, at: int) -> int:
    """Where the first line begins that begins at or behind a byte. Raises OSError."""
    if at <= 0:
        return 0
    with path.open("rb") as file:
        file.seek(at - 1)
        return at - 1 + len(file.readline())


def entries(path: Path, start: int, end: int) -> tuple[list[Entry], int]:
    """The entries between two bytes, and where the first line begins that is not whole there.
    Raises OSError."""
    if start >= end:
        return [], start
    with path.open("rb") as file:
        file.seek(start)
        data = file.read(end - start)
    whole, newline, _ = data.rpartition(b"\n")
    return messages.decode_entries(whole.split(b"\n")), start + len(whole) + len(newline)
