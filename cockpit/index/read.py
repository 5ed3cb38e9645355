"""Reading an index: columns of steps, and where the other entries are."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from cockpit.columns import Array
from cockpit.index import block
from cockpit.index.block import Damaged, Head
from trainer.contract import messages
from trainer.contract.messages import Entry

_CHECKED = 64
"""How many blocks, evenly spread, are compared with the journal."""


class StepBlock:
    """The steps of one block: Rows (cockpit.columns) whose columns are read when asked for."""

    def __init__(self, index: Index, head: Head, body: int) -> None:
        self._index, self._head, self._body = index, head, body

    def __len__(self) -> int:
        return self._head.steps

    @property
    def start(self) -> int:
        """The byte of the journal with which it begins."""
        return self._head.start

    @property
    def rewinds(self) -> list[tuple[int, int]]:
        """(i, step): before row i an attempt went on from this step."""
        return self._head.rewinds

    def column(self, name: str) -> Array:
        """See Rows. Raises OSError."""
        return block.read_column(self._index.descriptor, self._head, self._body, name)


class Index:
    """The part of an index that is whole and fits its journal: nothing, if there is none."""

    def __init__(self, journal: Path, path: Path) -> None:
        self._journal_path, self._path = journal, path
        self.descriptor = self._journal = -1
        self._blocks: list[tuple[Head, int]] = []
        self.end = 0
        """Up to which byte of the journal it knows everything."""
        self.seq = 0
        """Number of the newest entry before that byte."""

    def refresh(self) -> list[StepBlock]:
        """Read what the file has gained; the steps of it, in the order of the journal."""
        if self.descriptor < 0 and not self._open():
            return []
        known = len(self._blocks)
        at = self._blocks[-1][1] + self._blocks[-1][0].body if known else 0
        with contextlib.suppress(OSError):
            for head, body in scan(self.descriptor, self._journal, at, self.end):
                self._blocks.append((head, body))
                self.end, self.seq = head.end, head.seq
        return [StepBlock(self, head, body) for head, body in self._blocks[known:]]

    def _open(self) -> bool:
        try:
            self.descriptor = os.open(self._path, os.O_RDONLY)
            self._journal = os.open(self._journal_path, os.O_RDONLY)
        except OSError:
            self.close()
            return False
        return True

    @property
    def kinds(self) -> set[str]:
        """The types of entries, other than steps, that it knows of."""
        return {kind for head, _ in self._blocks for kind in head.entries}

    def entries(self, kind: str) -> Array:
        """Where the entries of a kind are, in their order [3, M]: offset in the journal in bytes,
        length in bytes, step (0 where they have none). Raises OSError."""
        parts = [
            block.read_entries(self.descriptor, head, body, kind) for head, body in self._blocks
        ]
        return np.concatenate([np.zeros((3, 0), np.int64), *parts], axis=1)

    def read(self, where: Array) -> list[Entry]:
        """The entries at some places, as `entries` gives them. Raises OSError."""
        lines = (
            os.pread(self._journal, length, offset)
            for offset, length in zip(where[0].tolist(), where[1].tolist(), strict=True)
        )
        return messages.decode_entries(lines)

    def newest(self, kinds: Iterable[str], last: int, end: int | None = None) -> Array:
        """Where the last so many entries of some kinds together are, as `entries` gives them: of
        those before byte `end` of the journal, if that is given. Raises OSError."""
        found = [np.zeros((3, 0), np.int64)]
        missing = last
        for head, body in reversed(self._blocks):
            if missing <= 0:
                break
            if end is not None and head.start >= end:
                continue
            parts = [block.read_entries(self.descriptor, head, body, kind) for kind in kinds]
            where = np.concatenate([found[0][:, :0], *parts], axis=1)
            where = where[:, np.argsort(where[0])]
            if end is not None:
                where = where[:, where[0] < end]
            found.append(where[:, -missing:])
            missing -= where.shape[1]
        return np.concatenate(found[::-1], axis=1)

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the files, which happens by itself when nobody holds a block any more."""
        for descriptor in (self.descriptor, self._journal):
            if descriptor >= 0:
                os.close(descriptor)
        self.descriptor = self._journal = -1


def scan(descriptor: int, journal: int, at: int = 0, start: int = 0) -> Iterator[tuple[Head, int]]:
    """The blocks of a file from an offset on, with the offsets of their bodies: those that are
    whole, follow one another from byte `start` of the journal on, and fit what the journal
    holds (descriptors both). Raises OSError."""
    size = os.fstat(journal).st_size
    found: list[tuple[Head, int]] = []
    with contextlib.suppress(Damaged):
        while True:
            head, body = block.read_head(descriptor, at)
            if (
                head.start != start
                or head.end > size
                or not block.body_holds(descriptor, head, body)
            ):
                break
            found.append((head, body))
            at, start = body + head.body, head.end
    yield from found[: _fitting(found, journal)]


def _fitting(found: Sequence[tuple[Head, int]], journal: int) -> int:
    """How many of the blocks, from the first on, speak of what the journal holds. The journal
    only ever grows, so a few places tell: the ends of blocks, the last among them."""
    stride = max(1, len(found) // _CHECKED)
    places = sorted({*range(0, len(found), stride), len(found) - 1} - {-1})
    good = 0
    for place in places:
        head, _ = found[place]
        if block.sample(journal, head.start, head.end) != head.sample:
            break
        good = place + 1
    else:
        return good
    for head, _ in found[good:place]:  # between the last good place and the first bad one
        if block.sample(journal, head.start, head.end) != head.sample:
            break
        good += 1
    return good
