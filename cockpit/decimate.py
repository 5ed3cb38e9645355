"""Thinning columns of numbers out for drawing: the extremes and the sum of each part of an axis,
brought up to date for the price of what changed, and a smoothed line through them.

Shapes: N points, C columns of a drawing (two per terminal cell). x never falls.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
Whole: TypeAlias = npt.NDArray[np.int64]


class Track(Protocol):
    """Columns of one length that grow at their end and may lose points there again."""

    def __len__(self) -> int: ...
    def __getitem__(self, name: str) -> npt.NDArray[Any]: ...
    @property
    def epoch(self) -> int:
        """How often points were cut off."""
        ...

    def intact(self, epoch: int, size: int) -> int:
        """How many of the size first points that were there at an epoch are still the same."""
        ...


@dataclass
class Bands:
    """What lies in each of C equal parts of the span [start, end) of x.

    low, high: the extremes, NaN where a part holds no finite number; total: the sum of its finite
    numbers, and good how many they are; count: how many points it holds, finite or not; last:
    the index of the last point before the part's end, −1 where there is none.
    """

    start: float
    end: float
    low: Floats
    high: Floats
    total: Floats
    good: Whole
    last: Whole
    count: Whole

    @classmethod
    def empty(cls, start: float, end: float, columns: int) -> Bands:
        """Bands without any point yet."""
        nothing, none = np.full(columns, np.nan), np.zeros(columns, np.int64)
        return cls(
            start, end, nothing, nothing.copy(), np.zeros(columns), none, none - 1, none.copy()
        )

    def fits(self, start: float, end: float, columns: int) -> bool:
        """Whether these are the bands of that span."""
        return (self.start, self.end, len(self.low)) == (start, end, columns)

    def update(
        self, x: npt.NDArray[Any], y: npt.NDArray[Any], intact: int, origin: float = 0.0
    ) -> None:
        """Catch up with points that changed from index `intact` on; older parts stay as they are.
        Costs the points in the parts that changed, found by bisection. start and end count from
        origin."""
        columns = len(self.low)
        edges = self.edges() + origin
        first = 0
        if 0 < intact <= len(x):
            at = np.searchsorted(edges, x[intact - 1], "right") - 1
            first = int(np.clip(at, 0, columns))
        if first >= columns:
            return
        index = places(x, edges[first:])
        self.last[first:] = index[1:] - 1
        self.count[first:] = np.diff(index)
        self.low[first:], self.high[first:], self.total[first:], self.good[first:] = _parts(
            y, index
        )

    def edges(self) -> Floats:
        """Where the parts begin and the last one ends [C + 1]."""
        columns = len(self.low)
        return self.start + (self.end - self.start) * np.arange(columns + 1) / columns

    def means(self) -> Floats:
        """The mean of each part [C], NaN where it holds no finite number."""
        return np.where(self.good > 0, self.total / np.maximum(self.good, 1), np.nan)

    def times(self, scale: float) -> Bands:
        """The bands of scale · y, for a scale above 0."""
        if scale == 1:
            return self
        low, high, total = self.low * scale, self.high * scale, self.total * scale
        return Bands(self.start, self.end, low, high, total, self.good, self.last, self.count)

    def part(self, first: int, last: int) -> Bands:
        """The columns from first up to last, as views."""
        edges = self.edges()
        cut = slice(first, last)
        return Bands(
            float(edges[first]), float(edges[last]), self.low[cut], self.high[cut],
            self.total[cut], self.good[cut], self.last[cut], self.count[cut],
        )  # fmt: skip


def places(
    x: npt.NDArray[Any], values: npt.ArrayLike, side: Literal["left", "right"] = "left"
) -> Any:
    """np.searchsorted, without turning all of x into floats where it holds whole numbers."""
    wanted = np.asarray(values)
    if x.dtype.kind == "i" and wanted.dtype.kind == "f":
        wanted = (np.ceil(wanted) if side == "left" else np.floor(wanted)).astype(x.dtype)
    return np.searchsorted(x, wanted, side)


def merged(each: Sequence[Bands]) -> Bands:
    """The bands of all points of several tracks over the same span."""
    first = each[0]
    low = np.fmin.reduce([bands.low for bands in each])
    high = np.fmax.reduce([bands.high for bands in each])
    total = np.sum([bands.total for bands in each], axis=0)
    good, count = (np.sum([getattr(b, name) for b in each], axis=0) for name in ("good", "count"))
    return Bands(first.start, first.end, low, high, total, good, first.last, count)


def _parts(y: npt.NDArray[Any], index: Whole) -> tuple[Floats, Floats, Floats, Whole]:
    """Minimum, maximum, sum and number of the finite values between neighbouring indices."""
    size = np.diff(index)
    low = np.full(len(size), np.nan)
    high, total, good = low.copy(), np.zeros(len(size)), size.copy()
    filled = size > 0
    starts = index[:-1][filled]
    if len(starts):
        used, starts = y[index[0] : index[-1]], starts - index[0]
        low[filled] = np.fmin.reduceat(used, starts)
        high[filled] = np.fmax.reduceat(used, starts)
        total[filled] = np.add.reduceat(used, starts, dtype=np.float64)
    for at in np.flatnonzero(np.isnan(total)).tolist():  # the few with a gap in them
        inside = y[index[at] : index[at + 1]]
        finite = np.isfinite(inside)
        good[at] = np.count_nonzero(finite)
        total[at] = inside[finite].sum(dtype=np.float64)
    return low, high, total, good


def smoothed(bands: Bands, half_life: float, least: float = 3.0) -> Floats:
    """An exponential moving average at the end of each column [C], NaN where a column holds no
    finite number. Weights halve over half_life columns of the axis, so that a zoom shows more
    detail, but not over fewer than `least` points. It has no bias from its start: it is the
    mean of what came before under those weights."""
    found = np.full(len(bands.low), np.nan)
    filled = np.flatnonzero(bands.good)
    if half_life <= 0:
        found[filled] = bands.means()[filled]
        return found
    steps = np.diff(filled, prepend=filled[:1])
    decay = 0.5 ** np.minimum(steps / half_life, bands.good[filled] / least)
    total = weight = 0.0
    means = []
    for factor, more, number in zip(
        decay.tolist(), bands.total[filled].tolist(), bands.good[filled].tolist(), strict=True
    ):
        total, weight = total * factor + more, weight * factor + number
        means.append(total / weight)
    found[filled] = means
    return found


class Trace:
    """The bands of one column of a track, kept from one drawing to the next."""

    def __init__(self, track: Track, column: str) -> None:
        self.track, self.column = track, column
        self._bands = Bands.empty(0, 1, 0)
        self._along: tuple[object, ...] = ()
        self._epoch = self._read = 0

    def follow(
        self, x: npt.NDArray[Any], span: tuple[float, float], columns: int,
        origin: float = 0.0, of: object = None,
    ) -> Bands:  # fmt: skip
        """The bands of a span of x, counted from the origin. x belongs to the track's points; `of`
        is a value that differs whenever the x of known points does."""
        track = self.track
        intact = track.intact(self._epoch, self._read)
        if (origin, of) != self._along or not self._bands.fits(*span, columns):
            self._bands, intact = Bands.empty(*span, columns), 0
        self._along = (origin, of)
        self._epoch, self._read = track.epoch, len(track)
        self._bands.update(x, track[self.column], intact, origin)
        return self._bands


_ROUND = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)


def domain_end(last: float, total: float | None = None, units: Sequence[float] = (1.0,)) -> float:
    """Where an axis from 0 ends so that it shows `last` and yet changes seldom: a round number of
    the largest unit that is not above it, or the total when that is not far off."""
    if total and last <= total and (total <= 250 or last * 2 > total):
        return total
    unit = max((u for u in units if u <= last), default=units[0])
    size = unit
    while True:
        for factor in _ROUND:
            end = size * factor
            if end >= max(last, 20 * units[0]):
                return min(end, total) if total and last <= total else end
        size *= 10
