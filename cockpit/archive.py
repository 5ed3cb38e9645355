"""The expert messages of a journal, found without reading the rest and read one at a time.

A run may have 10⁵ of them, some gigabytes. What is kept in memory is where each lies and its
step (16 bytes), and as many of them, evenly spread over the run, as a budget allows.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from cockpit import loads
from cockpit.columns import Column
from cockpit.index.read import Index
from cockpit.loads import Kind, Load, Movement, Window
from trainer.contract import messages
from trainer.contract.messages import Experts, Updates

PIECE = 2**20
"""Bytes that one scan looks through: a few milliseconds, for which no key is answered."""
BUDGET = 12 * 2**20
"""Bytes of counts that a history may keep."""
_TYPES = re.compile(rb'"type":"(experts|updates|hello)"')


class _Head(msgspec.Struct):
    type: str = ""
    step: int = 0
    attempt: int = 0


_heads = msgspec.json.Decoder(_Head)


class _Track:
    """Offsets and steps of the messages of one kind, steps rising."""

    def __init__(self) -> None:
        self.offset, self.step = Column(np.int64), Column(np.int64)

    def add(self, offset: int, step: int) -> None:
        self.extend(np.array([[offset], [0], [step]]))

    def extend(self, where: npt.NDArray[np.int64]) -> None:
        """Take in messages in their order, as an index tells them (cockpit.index.read)."""
        offset, _, step = where
        breaks = (np.flatnonzero(np.diff(step) <= 0) + 1).tolist()
        for first, last in pairwise([0, *breaks, len(step)] if len(step) else []):
            self.rewind(int(step[first]) - 1)
            self.offset.extend(offset[first:last])
            self.step.extend(step[first:last])

    def rewind(self, step: int) -> None:
        """Forget what came after a step, as when an attempt goes on from its checkpoint."""
        if len(self.step) and self.step.values[-1] > step:
            size = int(np.searchsorted(self.step.values, step, "right"))
            self.offset.cut(size)
            self.step.cut(size)


class Archive:
    """Finds and reads the `experts` and `updates` entries of a journal that may be growing. What
    its index knows, if there is one, need not be looked for."""

    def __init__(self, path: Path, index: Path | None = None) -> None:
        self._path, self._index = path, index
        self._tracks: dict[Kind, _Track] = {"experts": _Track(), "updates": _Track()}
        self._offset = self._size = 0
        self.version = 0
        """Changes whenever entries were found or forgotten."""

    @property
    def progress(self) -> float:
        """How much of the journal was looked through, 0 to 1."""
        return self._offset / self._size if self._size else 1.0

    def steps(self, kind: Kind) -> npt.NDArray[np.int64]:
        """The step of each entry of a kind, in order [N]; a view, good until the next scan."""
        return self._tracks[kind].step.values

    def offsets(self, kind: Kind) -> npt.NDArray[np.int64]:
        """Where each begins in the file [N]; a view, good until the next scan."""
        return self._tracks[kind].offset.values

    def _look_up(self, index: Index) -> None:
        """Begin with what an index knows. Raises OSError."""
        index.refresh()
        places = index.entries("hello")
        hellos = [
            (int(places[0, n]), entry.step)
            for n in range(places.shape[1])
            for entry in index.read(places[:, n : n + 1])
            if isinstance(entry, messages.Hello) and entry.attempt > 1
        ]
        for kind, track in self._tracks.items():
            where = index.entries(kind)
            done = 0
            for offset, step in hellos:
                before = int(np.searchsorted(where[0], offset))
                track.extend(where[:, done:before])
                track.rewind(step)
                done = before
            track.extend(where[:, done:])
        self._offset = index.end
        self.version += 1

    def scan(self) -> bool:
        """Look through the next piece of the journal; whether its end was reached. Only whole
        lines count. A journal that cannot be read has no entries."""
        if self._index is not None:
            index, self._index = Index(self._path, self._index), None
            with contextlib.suppress(OSError):
                self._look_up(index)
            index.close()
        try:
            with self._path.open("rb") as file:
                self._size = file.seek(0, 2)
                file.seek(self._offset)
                data = file.read(PIECE)
                if b"\n" not in data and len(data) == PIECE:
                    data += file.readline()
        except OSError:
            return True
        whole = data.rfind(b"\n") + 1
        for match in _TYPES.finditer(data, 0, whole):
            start = data.rfind(b"\n", 0, match.start()) + 1
            self._note(data[start : data.find(b"\n", match.end())], self._offset + start)
        self._offset += whole
        return len(data) < PIECE

    def _note(self, line: bytes, offset: int) -> None:
        try:
            head = _heads.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return
        if head.type == "hello" and head.attempt > 1:
            for track in self._tracks.values():
                track.rewind(head.step)
        elif head.type in ("experts", "updates"):
            self._tracks["experts" if head.type == "experts" else "updates"].add(offset, head.step)
        else:
            return
        self.version += 1

    def read(self, offset: int) -> Experts | Updates | None:
        """The entry at an offset; None if there is none (any more)."""
        try:
            with self._path.open("rb") as file:
                file.seek(offset)
                entry = messages.decode_entry(file.readline())
        except OSError:
            return None
        return entry if isinstance(entry, (Experts, Updates)) else None

    def load(self, index: int) -> Load | None:
        """Counts up to the index-th `experts` entry, as a live view would have shown them."""
        return loads.gather(self._windows(index))

    def _windows(self, index: int) -> Iterator[Window]:
        for offset in reversed(self.offsets("experts")[: index + 1].tolist()):
            if isinstance(entry := self.read(offset), Experts):
                yield loads.window_of(entry)

    def movement(self, index: int) -> Movement | None:
        """The index-th `updates` entry."""
        places = self.offsets("updates")[max(index + 1 - loads.TRAIL, 0) : index + 1].tolist()
        found = [entry for at in places if isinstance(entry := self.read(at), Updates)]
        return loads.movement_of(found[-1], found) if found else None


class Frames:
    """Some entries of one kind as arrays [L, E], evenly spread over the run: every one while they
    fit into the budget, else every second, fourth, … of them."""

    def __init__(self, archive: Archive, kind: Kind, budget: int = BUDGET) -> None:
        self._archive, self._kind, self._budget = archive, kind, budget
        self._frames: dict[int, npt.NDArray[Any] | None] = {}
        self._shape: tuple[int, int] | None = None
        self.stride = 1
        """Every how many-th entry is among them."""

    def _wanted(self) -> list[int]:
        """Offsets of the entries that should be there. Halves them until they fit."""
        offsets = self._archive.offsets(self._kind)
        if self._shape is not None:
            most = max(self._budget // (4 * max(self._shape[0] * self._shape[1], 1)), 2)
            while -(-len(offsets) // self.stride) > most:
                self.stride *= 2
        return [int(offset) for offset in offsets[:: self.stride]]

    def fill(self, most: int) -> float:
        """Read up to `most` entries that are missing; how complete it is then, 0 to 1."""
        offsets = self._archive.offsets(self._kind)
        if self._shape is None and len(offsets):
            first = self._array(int(offsets[0]))
            self._shape = first.shape if first is not None else None
        wanted = self._wanted()
        kept = set(wanted)
        for offset in [offset for offset in self._frames if offset not in kept]:
            del self._frames[offset]
        missing = [offset for offset in wanted if offset not in self._frames]
        for offset in missing[:most]:
            frame = self._array(offset)
            fits = frame is not None and frame.shape == self._shape
            self._frames[offset] = frame if fits else None
        return 1 - max(len(missing) - most, 0) / max(len(wanted), 1)

    def _array(self, offset: int) -> npt.NDArray[Any] | None:
        match self._archive.read(offset):
            case Experts() as entry:
                return loads.window_of(entry).counts.astype(np.uint32)
            case Updates() as entry:
                return loads.movement_of(entry).norms.astype(np.float32)
        return None

    def layer(self, index: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[Any]]:
        """Steps [T] and values [T, E] of one layer (by its index) over the run."""
        steps = self._archive.steps(self._kind)[:: self.stride].tolist()
        places = self._archive.offsets(self._kind)[:: self.stride].tolist()
        there = [
            (step, frame[index])
            for step, place in zip(steps, places, strict=True)
            if (frame := self._frames.get(place)) is not None and index < len(frame)
        ]
        if not there:
            return np.zeros(0, np.int64), np.zeros((0, 0))
        return np.array([step for step, _ in there], np.int64), np.array([row for _, row in there])
