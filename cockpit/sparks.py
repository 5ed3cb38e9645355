"""A curve in one line of text: the loss of a run as a list shows it. Pure.

Few points are kept however long the run is: the newest in each span of steps, and when they are
too many the spans become twice as long.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

MOST = 256
"""Points that are kept."""
LEVELS = "▁▂▃▄▅▆▇█"

Point = tuple[int, float]
"""A step and its value; NaN where that is no number."""


class Trace:
    """Points along the steps of a run, thinned out. What an abandoned attempt did after the step
    that a later one went on from is forgotten."""

    def __init__(self) -> None:
        self.points: list[Point] = []
        self._span = 1

    def extend(self, points: Iterable[tuple[int, float | None]]) -> None:
        """Take in the steps that follow."""
        for step, value in points:
            while self.points and self.points[-1][0] >= step:
                self.points.pop()
            self._put((step, math.nan if value is None else value))
            while len(self.points) > MOST:
                self._span *= 2
                kept, self.points = self.points, []
                for point in kept:
                    self._put(point)

    def _put(self, point: Point) -> None:
        if self.points and self.points[-1][0] // self._span == point[0] // self._span:
            self.points.pop()
        self.points.append(point)


def spark(points: Sequence[Point], width: int) -> str:
    """The curve in at most width characters, from the first step to the last, the lowest value at
    the bottom. Values that are all positive are drawn on a logarithmic scale; a stretch without
    any number is blank. Empty without a number."""
    values = _binned(points, min(width, len(points)))
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return ""
    if min(finite) > 0:
        values = [math.log(value) if math.isfinite(value) else value for value in values]
        finite = [math.log(value) for value in finite]
    low, high = min(finite), max(finite)
    reach = high - low
    return "".join(
        " " if not math.isfinite(value)
        else LEVELS[round((value - low) / reach * (len(LEVELS) - 1)) if reach else 0]
        for value in values
    )  # fmt: skip


def _binned(points: Sequence[Point], columns: int) -> list[float]:
    """The mean of the finite values in each of so many equal spans of steps; a span that holds no
    point at all is as the one before it."""
    if columns < 1:
        return []
    first, last = points[0][0], points[-1][0]
    found: list[list[float]] = [[] for _ in range(columns)]
    for step, value in points:
        at = (step - first) * columns // max(last - first + 1, 1)
        found[at].append(value)
    values: list[float] = []
    for column in found:
        good = [value for value in column if math.isfinite(value)]
        if good:
            values.append(sum(value / len(good) for value in good))
        else:
            values.append(math.nan if column or not values else values[-1])
    return values
