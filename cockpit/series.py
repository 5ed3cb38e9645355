"""The numbers of a run over its steps: columns that grow, rewind, and are filled up.

Shapes: N points so far. Steps always rise. A value that is not a finite number is kept as NaN: it
is a gap in a line, and counted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from cockpit.columns import STORED, Column, Rows, Table, figure
from trainer.contract.messages import Step

Floats: TypeAlias = npt.NDArray[np.float64]
Whole: TypeAlias = npt.NDArray[np.int64]

METRICS = (*STORED, "tokens_per_second")
"""The names by which a series has arrays: step, time, tokens (of the step, not up to it), loss, lr,
grad_norm, seconds, split.forward and the other parts of the seconds, tokens_per_second."""


class _Stretch(NamedTuple):
    """Neighbouring rows that are points of the series: indices first ≤ i < last."""

    rows: Rows
    first: int
    last: int


class Series:
    """Every step of a run, once: what an abandoned attempt did after the checkpoint that a later
    attempt went on from is forgotten.

    Points come at the end as the run goes on (`extend`), and older ones are put before those when
    they are found later (`fill`). series[name] is an array [N] of one figure; it is put together
    when it is first asked for, and what nobody looks at takes no memory.
    """

    def __init__(self) -> None:
        self._live = Table()
        self._stretches: list[_Stretch] = []
        self._size = 0
        self._columns: dict[str, tuple[Column, int]] = {}
        self._cuts: list[int] = []
        self._seam = 0  # points before this index came by `fill`
        self._lowest = math.inf  # first step that `extend` and `rewind` have spoken of
        self._restarts: list[int] = []
        self._past_restarts: list[int] = []

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        column, epoch = self._columns.get(name) or (_column(name), self.epoch)
        column.cut(self.intact(epoch, len(column)))
        if len(column) < self._size:
            column.reserve(self._size)
            self._catch_up(column, name)
        self._columns[name] = column, self.epoch
        return column.values

    def _catch_up(self, column: Column, name: str) -> None:
        missing = []
        rest = self._size - len(column)
        for stretch in reversed(self._stretches):
            if rest <= 0:
                break
            first = max(stretch.first, stretch.last - rest)
            missing.append(_Stretch(stretch.rows, first, stretch.last))
            rest -= stretch.last - first
        for rows, first, last in reversed(missing):
            column.extend(figure(rows, name, first, last))

    @property
    def restarts(self) -> list[int]:
        """The steps after which a later attempt went on."""
        past = [step for step in self._past_restarts if step < self._lowest]
        return sorted({*past, *self._restarts})

    @property
    def epoch(self) -> int:
        """How often known points changed; with it, intact() tells what a reader must redo."""
        return len(self._cuts)

    def intact(self, epoch: int, size: int) -> int:
        """How many of the size first points that were there at an epoch are still the same."""
        return min([size, len(self), *self._cuts[epoch:]])

    def gaps(self, name: str) -> int:
        """How many values of a metric are not finite numbers."""
        return int(np.count_nonzero(np.isnan(self[name])))

    def extend(self, steps: Sequence[Step]) -> None:
        """Append steps in the order of the journal; one that was there already takes the place
        of the earlier and of all that followed it."""
        first = len(self._live)
        self._live.extend(steps)
        for start, end in _rising(self._live.column("step")[first:]):
            number = int(self._live.column("step")[first + start])
            self._lowest = min(self._lowest, number)
            if len(self) and number <= self["step"][-1]:
                self.rewind(number - 1)
            self._put(len(self), _Stretch(self._live, first + start, first + end))

    def rewind(self, step: int) -> None:
        """Forget all points after a step, as when an attempt goes on from its checkpoint."""
        self._lowest = min(self._lowest, step + 1)
        self._forget(int(np.searchsorted(self["step"], step, "right")), len(self))
        if step > 0:  # also where the steps up to it are not known yet
            self._restarts = [*(old for old in self._restarts if old < step), step]

    def fill(self, rows: Rows, rewinds: Sequence[tuple[int, int]] = ()) -> None:
        """Put steps before those that `extend` brought: the next older ones in the order of the
        journal, abandoned attempts included. Steps that `extend` brought too are passed over.
        rewinds are pairs (i, step): before row i all points after the step were forgotten."""
        known: dict[int, int] = {}
        for i, step in rewinds:
            known[i] = min(step, known.get(i, step))
        edges = [0, *sorted(i for i in known if 0 < i < len(rows)), len(rows)]
        for start, end in pairwise(edges):
            if start in known:
                self._rewind_past(known[start])
            self._fill(rows, start, end)
        if len(rows) in known:
            self._rewind_past(known[len(rows)])

    def _fill(self, rows: Rows, start: int, end: int) -> None:
        number = rows.column("step")[start:end]
        for first, last in _rising(number):
            end_at = first + int(np.searchsorted(number[first:last], self._lowest))
            if self._seam and number[first] <= self["step"][self._seam - 1]:
                self._rewind_past(int(number[first]) - 1)
            if first < end_at:
                self._put(self._seam, _Stretch(rows, start + first, start + end_at))
                self._seam += end_at - first

    def _rewind_past(self, step: int) -> None:
        size = int(np.searchsorted(self["step"][: self._seam], step, "right"))
        self._forget(size, self._seam)
        if step > 0:
            self._past_restarts = [*(old for old in self._past_restarts if old < step), step]

    def _forget(self, start: int, end: int) -> None:
        """Take points start ≤ i < end out."""
        if start >= end:
            return
        after = _sliced(self._stretches, end, self._size)
        self._stretches = _sliced(self._stretches, 0, start) + after
        self._size -= end - start
        self._cuts.append(start)
        self._seam = start if end >= self._seam > start else self._seam

    def _put(self, place: int, stretch: _Stretch) -> None:
        """Put points before index place."""
        added = stretch.last - stretch.first
        last = self._stretches[-1] if self._stretches else None
        if place < self._size:
            before = _sliced(self._stretches, 0, place)
            self._stretches = [*before, stretch, *_sliced(self._stretches, place, self._size)]
            self._cuts.append(place)
        elif last and last.rows is stretch.rows and last.last == stretch.first:
            self._stretches[-1] = last._replace(last=stretch.last)
        else:
            self._stretches.append(stretch)
        self._size += added


def _column(name: str) -> Column:
    return Column(np.dtype(STORED.get(name, "<f4")))


def _rising(number: npt.NDArray[Any]) -> list[tuple[int, int]]:
    """The stretches in which step numbers rise, as pairs of indices."""
    if not len(number):
        return []
    breaks = (np.flatnonzero(np.diff(number) <= 0) + 1).tolist()
    return list(zip([0, *breaks], [*breaks, len(number)], strict=True))


def _sliced(stretches: list[_Stretch], start: int, end: int) -> list[_Stretch]:
    """The points start ≤ i < end."""
    found, at = [], 0
    for rows, first, last in stretches:
        low, high = max(first, first + start - at), min(last, first + end - at)
        if low < high:
            found.append(_Stretch(rows, low, high))
        at += last - first
    return found
