"""What part of a run a chart shows, and how: zoom, pan, follow, crosshair. No drawing here.

Positions on the x axis count from the axis' origin: steps, tokens, or seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy.typing as npt

from cockpit.decimate import domain_end, places
from cockpit.source import AXES, Axis

Array = npt.NDArray[Any]
SMOOTHING = (0.01, 0.04, 0.15, 0.0)
"""Half lives of the smoothed line to choose from, as parts of the width; 0 is none."""
_UNITS: dict[Axis, tuple[float, ...]] = {
    "step": (1.0,), "tokens": (1.0,), "time": (1.0, 60.0, 3600.0, 86400.0),
}  # fmt: skip


@dataclass(frozen=True)
class View:
    """window is the seen part [start, end) of the axis, None for all of it. following: whether it
    moves on with the newest point. cursor is where the crosshair is, None without one. every:
    whether the y axis reaches up to the first steps of a long run."""

    axis: Axis = "step"
    window: tuple[float, float] | None = None
    following: bool = False
    cursor: float | None = None
    log: bool = False
    smoothing: int = 0
    every: bool = False

    def span(self, newest: float, total: float | None) -> tuple[float, float]:
        """The seen part, given the newest point and where the axis will end, if that is known."""
        if self.window is not None:
            return self.window
        end = domain_end(newest, total, _UNITS[self.axis])
        # The end belongs to the axis: the last point may lie on it.
        return 0.0, end + (0.5 if self.axis == "step" else end * 1e-6)

    def moved_on(self, newest: float) -> View:
        """The view after the newest point went beyond its end: it moves by quarters, so that not
        every step draws all of it anew."""
        if self.window is None or not self.following or newest < self.window[1]:
            return self
        start, end = self.window
        by = (end - start) / 4 * (int((newest - end) / ((end - start) / 4)) + 1)
        return replace(self, window=(start + by, end + by))

    def zoomed(
        self, factor: float, around: float, newest: float, total: float | None, least: float = 8.0
    ) -> View:
        """Closer for a factor below 1, around a place that stays where it is, until the window is
        only `least` wide."""
        whole = replace(self, window=None).span(newest, total)
        start, end = self.span(newest, total)
        around = min(max(around, start), end)
        width = max((end - start) * factor, least)
        if width >= whole[1] - whole[0]:
            return replace(self, window=None, following=False)
        share = (around - start) / (end - start)
        return self._at(around - share * width, width, newest, whole)

    def panned(self, by: float, newest: float, total: float | None) -> View:
        """To the right by so many widths of the window, up to the ends; nothing to pan where all is
        seen."""
        if self.window is None:
            return self
        whole = replace(self, window=None).span(newest, total)
        start, end = self.window
        return self._at(start + by * (end - start), end - start, newest, whole)

    def _at(self, start: float, width: float, newest: float, whole: tuple[float, float]) -> View:
        start = min(max(start, whole[0]), whole[1] - width)
        follows = start <= newest < start + width
        return replace(self, window=(start, start + width), following=follows)

    def at_newest(self, newest: float, total: float | None) -> View:
        """The newest points, at the same zoom, and from now on."""
        if self.window is None:
            return replace(self, cursor=None)
        whole = replace(self, window=None).span(newest, total)
        width = self.window[1] - self.window[0]
        moved = self._at(newest - 0.75 * width, width, newest, whole)
        return replace(moved, following=True, cursor=None)

    def next_axis(self) -> Axis:
        """The axis after this one."""
        return AXES[(AXES.index(self.axis) + 1) % len(AXES)]

    def smoother(self) -> View:
        """The next smoothing."""
        return replace(self, smoothing=(self.smoothing + 1) % len(SMOOTHING))


def nearest(points: Array, place: float) -> float:
    """The point [N] (rising, N > 0) that is nearest to a place."""
    after = int(places(points, place))
    around = points[max(after - 1, 0) : after + 1]
    return float(min(around.tolist(), key=lambda point: abs(point - place)))


def stepped(points: Array, cursor: float, by: float) -> float:
    """The point nearest to where the crosshair gets by moving so far, and at least the next one in
    that direction, if there is one."""
    found = nearest(points, cursor + by)
    if by > 0 and found <= cursor:
        rest = points[int(places(points, cursor, "right")) :]
        return float(rest[0]) if len(rest) else float(points[-1])
    if by < 0 and found >= cursor:
        before = int(places(points, cursor))
        return float(points[before - 1]) if before else float(points[0])
    return found
