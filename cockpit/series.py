"""The numbers of a run over its steps: columns that grow, rewind, and thin out for drawing.

Shapes: N points so far, C columns of a drawing (two per terminal cell). x is the step, always
rising. A value that is not a finite number is kept as NaN: it is a gap in a line, and counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from trainer.contract.messages import Step

Floats: TypeAlias = npt.NDArray[np.float64]
Whole: TypeAlias = npt.NDArray[np.int64]

METRICS = ("loss", "lr", "grad_norm", "tokens_per_second", "seconds")
"""What a series holds besides step and time (Unix time at the end of the step)."""


class Column:
    """An array that grows at its end in amortised constant time, and can be cut."""

    def __init__(self, dtype: type[np.generic] = np.float64) -> None:
        self._values: npt.NDArray[Any] = np.empty(256, dtype)
        self._size = 0

    def __len__(self) -> int:
        return self._size

    @property
    def values(self) -> npt.NDArray[Any]:
        """A view of what is there [N]; good until the next change."""
        return self._values[: self._size]

    def extend(self, more: npt.ArrayLike) -> None:
        """Put values behind the last."""
        added = np.asarray(more)
        size = self._size + len(added)
        if size > len(self._values):
            grown = np.empty(max(size, len(self._values) * 3 // 2), self._values.dtype)
            grown[: self._size] = self.values
            self._values = grown
        self._values[self._size : size] = added
        self._size = size

    def cut(self, size: int) -> None:
        """Forget all values from index size on."""
        self._size = min(self._size, size)


class Series:
    """Every step of a run, once: what an abandoned attempt did after the checkpoint that a later
    attempt went on from is forgotten."""

    def __init__(self) -> None:
        self._columns = {name: Column(np.float32) for name in METRICS}
        self._columns |= {"step": Column(np.int64), "time": Column(np.float64)}
        self._cuts: list[int] = []
        self.restarts: list[int] = []
        """The steps after which a later attempt went on."""

    def __len__(self) -> int:
        return len(self._columns["step"])

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        return self._columns[name].values

    @property
    def epoch(self) -> int:
        """How often points were cut off; with it, intact() tells what a reader must redo."""
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
        if not steps:
            return
        number = np.array([step.step for step in steps], np.int64)
        breaks = (np.flatnonzero(np.diff(number) <= 0) + 1).tolist()
        for first, last in zip([0, *breaks], [*breaks, len(steps)], strict=True):
            self._append(number[first:last], steps[first:last])

    def rewind(self, step: int) -> None:
        """Forget all points after a step, as when an attempt goes on from its checkpoint."""
        size = int(np.searchsorted(self["step"], step, "right"))
        if size < len(self):
            self._cuts.append(size)
            for column in self._columns.values():
                column.cut(size)
        if len(self) and (not self.restarts or self.restarts[-1] != step):
            self.restarts = [*(old for old in self.restarts if old < step), step]

    def _append(self, number: Whole, steps: Sequence[Step]) -> None:
        if len(self) and number[0] <= self["step"][-1]:
            self.rewind(int(number[0]) - 1)
        self._columns["step"].extend(number)
        self._columns["time"].extend([step.time for step in steps])
        for name in ("loss", "lr", "grad_norm", "seconds"):
            self._columns[name].extend(_finite(getattr(step, name) for step in steps))
        speed = [s.tokens / s.seconds if s.seconds and s.seconds > 0 else None for s in steps]
        self._columns["tokens_per_second"].extend(_finite(speed))


def _finite(values: Iterable[float | None]) -> Floats:
    found = np.array([np.nan if value is None else value for value in values], np.float64)
    found[~np.isfinite(found)] = np.nan
    return found


class Smooth:
    """An exponential moving average of one metric, without the start's bias: the weight of a
    value halves every half_life points. A gap keeps the average where it was."""

    BLOCK = 512

    def __init__(self, half_life: float) -> None:
        self.half_life = max(half_life, 2.0)
        self._sum, self._weight, self._mean = Column(), Column(), Column(np.float32)
        self._epoch = 0

    @property
    def values(self) -> npt.NDArray[Any]:
        """The average at each point [N]; NaN before the first number."""
        return self._mean.values

    def follow(self, series: Series, name: str) -> int:
        """Catch up with the series; returns how many of the points known before still hold."""
        intact = series.intact(self._epoch, len(self._mean))
        self._epoch = series.epoch
        for column in (self._sum, self._weight, self._mean):
            column.cut(intact)
        values = series[name]
        for start in range(intact, len(values), self.BLOCK):
            self._extend(values[start : start + self.BLOCK].astype(np.float64))
        return intact

    def _extend(self, values: Floats) -> None:
        """s[i] = a·s[i-1] + v[i] over a block, as one cumulative sum of v[i]·a⁻ⁱ. A block is short
        enough for a⁻ⁱ to stay below 2²⁵⁶ at the shortest half life."""
        good = np.isfinite(values)
        power = 0.5 ** (np.arange(1, len(values) + 1) / self.half_life)
        before = (self._sum.values[-1], self._weight.values[-1]) if len(self._sum) else (0.0, 0.0)
        # A gap must not age what came before it: both sums decay alike, so the mean stays.
        total = power * (before[0] + np.cumsum(np.where(good, values, 0.0) / power))
        weight = power * (before[1] + np.cumsum(good / power))
        self._sum.extend(total)
        self._weight.extend(weight)
        with np.errstate(invalid="ignore", divide="ignore"):
            self._mean.extend(total / weight)


@dataclass
class Bands:
    """The lowest and highest value in each of C equal parts of the span [start, end) of x.

    low and high are NaN where a part holds no finite number; last is the index of the last point
    before the end of each part, −1 where there is none; count is how many points a part holds.
    """

    start: float
    end: float
    low: Floats
    high: Floats
    last: Whole
    count: Whole

    @classmethod
    def empty(cls, start: float, end: float, columns: int) -> Bands:
        """Bands without any point yet."""
        nothing = np.full(columns, np.nan)
        none = np.full(columns, -1, np.int64)
        return cls(start, end, nothing, nothing.copy(), none, np.zeros(columns, np.int64))

    def fits(self, start: float, end: float, columns: int) -> bool:
        """Whether these are the bands of that span."""
        return (self.start, self.end, len(self.low)) == (start, end, columns)

    def update(self, x: npt.NDArray[Any], y: npt.NDArray[Any], intact: int) -> None:
        """Catch up with points that changed from index `intact` on; older parts stay as they are.
        Costs the points in the parts that changed, found by bisection."""
        columns = len(self.low)
        edges = self.edges()
        first = 0
        if 0 < intact <= len(x):
            at = np.searchsorted(edges, x[intact - 1], "right") - 1
            first = int(np.clip(at, 0, columns))
        if first >= columns:
            return
        index = np.searchsorted(x, edges[first:], "left")
        self.last[first:] = index[1:] - 1
        self.count[first:] = np.diff(index)
        self.low[first:], self.high[first:] = _extremes(y, index)

    def edges(self) -> Floats:
        """Where the parts begin and the last one ends [C + 1]."""
        columns = len(self.low)
        return self.start + (self.end - self.start) * np.arange(columns + 1) / columns


def _extremes(y: npt.NDArray[Any], index: Whole) -> tuple[Floats, Floats]:
    """Minimum and maximum of y between neighbouring indices; NaN for an empty stretch."""
    low = np.full(len(index) - 1, np.nan)
    high = low.copy()
    filled = np.diff(index) > 0
    starts = index[:-1][filled]
    if len(starts):
        used = y[: index[-1]]
        low[filled] = np.fmin.reduceat(used, starts)
        high[filled] = np.fmax.reduceat(used, starts)
    return low, high


_STEPS = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)


def domain_end(last: int, total: int | None = None) -> int:
    """Where an x axis from 0 ends so that it shows `last` and yet changes seldom: a round number,
    or the run's total when that is not far off."""
    if total and last <= total and (total <= 250 or last * 2 > total):
        return total
    size = 1.0
    while True:
        for factor in _STEPS:
            end = int(size * factor)
            if end >= max(last, 20):
                return min(end, total) if total and last <= total else end
        size *= 10
