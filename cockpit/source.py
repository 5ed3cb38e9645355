"""The numbers of one run, and where each of them lies on the axes that a chart can have."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from cockpit.columns import Column
from cockpit.decimate import Track
from cockpit.figures import Figures
from cockpit.series import Series

Axis: TypeAlias = Literal["step", "tokens", "time"]
AXES: tuple[Axis, ...] = ("step", "tokens", "time")


class _Tokens:
    """The tokens up to each point of a track: a running sum, kept."""

    def __init__(self, track: Track) -> None:
        self._track, self._column, self._stamp = track, Column(), (0, 0)

    def follow(self, series: Series, totals: npt.NDArray[Any] | None) -> npt.NDArray[Any]:
        """Catch up. totals are those of the series, None where the track is the series."""
        track, column = self._track, self._column
        known = track.intact(self._stamp[0], len(column))
        if self._stamp[1] != series.epoch and totals is not None:
            known = 0
        column.cut(known)
        self._stamp = track.epoch, series.epoch
        if totals is None:
            before = column.values[-1] if len(column) else 0.0
            column.extend(before + np.cumsum(track["tokens"][known:], dtype=np.float64))
        elif known < len(track):
            at = np.searchsorted(series["step"], track["step"][known:], "right") - 1
            found = totals[np.maximum(at, 0)] if len(totals) else np.zeros(len(at))
            column.extend(np.where(at < 0, 0.0, found))
        return column.values


@dataclass
class Source:
    """The numbers of one run. key tells it from others for good; name is for people; total is
    how many steps it will have, 0 if unknown."""

    key: str = ""
    name: str = ""
    series: Series = field(default_factory=Series)
    figures: Figures = field(default_factory=Figures)
    total: int = 0
    _tokens: dict[int, _Tokens] = field(default_factory=dict)

    def along(self, track: Track, axis: Axis) -> npt.NDArray[Any]:
        """Where the points of a track lie [N], never falling: the step, the tokens of all steps up
        to and including it, or Unix time."""
        if axis != "tokens":
            return track[axis]
        totals = self._follow(self.series, None)
        return totals if track is self.series else self._follow(track, totals)

    def _follow(self, track: Track, totals: npt.NDArray[Any] | None) -> npt.NDArray[Any]:
        if id(track) not in self._tokens:  # tracks live as long as the source
            self._tokens[id(track)] = _Tokens(track)
        return self._tokens[id(track)].follow(self.series, totals)

    def origin(self, axis: Axis) -> float:
        """Where an axis begins: 0, or when the first step began."""
        if axis != "time" or not len(self.series):
            return 0.0
        first = float(self.series["seconds"][0])
        return float(self.series["time"][0]) - (first if first > 0 else 0.0)

    def end(self, axis: Axis) -> float:
        """The newest point, counted from the origin; 0 if there is none."""
        if not len(self.series):
            return 0.0
        return float(self.along(self.series, axis)[-1]) - self.origin(axis)

    def whole(self, axis: Axis) -> float | None:
        """Where the axis ends when all steps are done, if that is known."""
        if axis == "time" or not self.total:
            return None
        if axis == "step":
            return float(self.total)
        each = self.figures.hello.tokens_per_step if self.figures.hello else 0
        return float(self.total * each) or None
