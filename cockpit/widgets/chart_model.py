"""From the numbers of runs and a view to a chart: what the chart widget keeps between drawings.
No Textual here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt

from cockpit.decimate import Bands, Trace, merged, places
from cockpit.metrics import FEW, Line, Metric
from cockpit.source import Axis, Source
from cockpit.widgets.chart_view import SMOOTHING, View
from cockpit.widgets.grid import Ink
from cockpit.widgets.render_axes import Scale, elapsed, scale_for, value_range
from cockpit.widgets.render_chart import Chart, above, room
from cockpit.widgets.render_plot import Curve, curve_of, heights
from cockpit.widgets.units import clock, count, number

_CURVES = 8


@dataclass
class _Drawn:
    """A curve's numbers before it is cut to size: one line, or many merged into one."""

    source: Source
    lines: list[Line]
    label: str
    ink: int


def slots(sources: Sequence[Source]) -> list[int]:
    """A colour for each run: the first always has the first, and another keeps the one that its
    key gives it, whichever runs it is beside, unless it is taken."""
    found = [0]
    for source in sources[1:]:
        wanted = 1 + crc32(source.key.encode()) % (_CURVES - 1)
        order = [wanted, *range(1, _CURVES)]
        found.append(next((slot for slot in order if slot not in found), wanted))
    return found


class ChartModel:
    """Draws a metric of one run, or of several over each other."""

    def __init__(self, inks: tuple[int, int] = (Ink.BAND, Ink.LINE)) -> None:
        self._inks = inks
        self._traces: dict[tuple[str, int, str], Trace] = {}
        self._scale: tuple[object, Scale] | None = None

    def chart(
        self, sources: Sequence[Source], metric: Metric, view: View, width: int, height: int,
        hint: Sequence[tuple[str, str]] = (),
    ) -> Chart | None:  # fmt: skip
        """The chart for a size; None where the runs have no number of this metric."""
        drawn = self._drawn(sources, metric)
        if not drawn:
            return None
        columns, rows = room(width, height, len(drawn), bool(hint))
        start, end = view.span(*reach(sources, view.axis))
        bands = [self._bands(one, view, start, end, 2 * columns) for one in drawn]
        self._forget(drawn)
        stacked = metric.kind == "stack"
        curves = self._curves(drawn, bands, view, 2 * columns, stacked)
        scale = self._fit(curves, metric, view, rows)
        shown = Chart(
            _name(metric, sources), curves, scale, start, end, view.axis, stacked,
            restarts=_restarts(sources[0], view.axis), hint=hint,
        )  # fmt: skip
        if view.cursor is not None and start <= view.cursor < end:
            shown.cursor = int((view.cursor - start) / (end - start) * columns)
            shown.where = _where(sources[0], view)
            shown.values = [_under(curve, shown.cursor, stacked) for curve in curves]
        else:
            shown.values = [_newest(one, stacked) for one in drawn]
            shown.note = _note(curves, scale, stacked)
        return shown

    def points(self, source: Source, metric: Metric, axis: Axis) -> npt.NDArray[Any]:
        """Where the points of a metric's first line lie on an axis [N], from its origin."""
        lines = metric.among(source)
        track = lines[0].track if lines else source.series
        origin = source.origin(axis)
        return source.along(track, axis) - origin if origin else source.along(track, axis)

    def refit(self) -> None:
        """Let the y axis fit anew, as after a zoom."""
        self._scale = None

    def _drawn(self, sources: Sequence[Source], metric: Metric) -> list[_Drawn]:
        found: list[_Drawn] = []
        several = len(sources) > 1
        for source, slot in zip(sources, slots(sources), strict=True):
            lines = metric.among(source)
            if several and metric.kind == "lines" and lines and not lines[0].raw:
                lines = lines[:1]  # what is beside a run's own figures would only be in the way
            if len(lines) > FEW and metric.kind == "lines":
                label = f"{len(lines)} × {lines[0].label.rstrip(' 0123456789')}"
                groups = [(label, lines)]
            else:
                groups = [(line.label, [line]) for line in lines]
            for n, (label, group) in enumerate(groups):
                name = label if not several else source.name
                if several and len(groups) > 1:
                    name = f"{source.name}: {label}"
                ink = Ink.CURVE + (slot if several else n % _CURVES)
                found.append(_Drawn(source, group, name, ink))
        return found

    def _bands(
        self, one: _Drawn, view: View, start: float, end: float, columns: int
    ) -> tuple[Bands, tuple[int, int]]:
        """The bands of a curve with some columns beside those that are seen, and which are."""
        source, axis = one.source, view.axis
        origin = source.origin(axis)
        cell = (end - start) / columns
        before = after = 0
        if view.window is not None:
            half_life = SMOOTHING[view.smoothing] * columns
            x = source.along(one.lines[0].track, axis)
            before, after = _margins(x, start + origin, end + origin, columns)
            before = max(before, math.ceil(6 * half_life))
        span = (start - before * cell, end + after * cell)
        found = []
        for line in one.lines:
            key = (source.key, id(line.track), line.column)
            trace = self._traces.get(key)
            if trace is None or trace.track is not line.track:
                trace = self._traces[key] = Trace(line.track, line.column)
            of = (axis, source.series.epoch if axis == "tokens" else 0)
            x = source.along(line.track, axis)
            bands = trace.follow(x, span, before + columns + after, origin, of)
            found.append(bands.times(line.scale))
        return (found[0] if len(found) == 1 else merged(found)), (before, before + columns)

    def _forget(self, drawn: Sequence[_Drawn]) -> None:
        keys = {(d.source.key, id(line.track), line.column) for d in drawn for line in d.lines}
        for key in self._traces.keys() - keys:
            del self._traces[key]

    def _curves(
        self, drawn: Sequence[_Drawn], bands: Sequence[tuple[Bands, tuple[int, int]]], view: View,
        columns: int, stacked: bool,
    ) -> list[Curve]:  # fmt: skip
        half_life = SMOOTHING[view.smoothing] * columns
        curves = []
        for n, (one, (its_bands, seen)) in enumerate(zip(drawn, bands, strict=True)):
            inks = self._inks if len(drawn) == 1 else (self._inks[0], one.ink)
            raw = stacked or (one.lines[0].raw and len(one.lines) == 1)
            curves.append(curve_of(one.label, its_bands, seen, half_life, raw, inks, n == 0))
        return curves

    def _fit(self, curves: Sequence[Curve], metric: Metric, view: View, rows: int) -> Scale:
        log = view.log and metric.kind == "lines"
        if metric.kind == "stack":
            tops = heights(curves)[-1]
            low, high = 0.0, float(np.nanmax(tops)) if np.isfinite(tops).any() else math.nan
        else:
            every = view.every or view.window is not None
            low, high = value_range([curve.bands for curve in curves], every, log)
        key = (metric.name, log, rows, view.every)
        before = self._scale[1] if self._scale and self._scale[0] == key else None
        scale = scale_for(low, high, rows, before, log)
        self._scale = key, scale
        return scale


def _margins(x: npt.NDArray[Any], start: float, end: float, columns: int) -> tuple[int, int]:
    """How many columns beside a window reach the next points, so that lines come in from them and
    go out to them; some at the least, and not endlessly many."""
    cell = (end - start) / columns
    first, last = places(x, [start, end]).tolist()
    left = (start - float(x[first - 1])) / cell if first else 0.0
    right = (float(x[last]) - end) / cell if last < len(x) else 0.0
    most = 8 * columns
    before, after = (min(max(math.ceil(n) + 2, columns // 4), most) for n in (left, right))
    return before, after


def reach(sources: Sequence[Source], axis: Axis) -> tuple[float, float | None]:
    """The newest point of any run, and where the axis ends when the first one is done."""
    return max(source.end(axis) for source in sources), sources[0].whole(axis)


def _name(metric: Metric, sources: Sequence[Source]) -> str:
    return metric.label if len(sources) == 1 else f"{metric.label} of {len(sources)} runs"


def _restarts(source: Source, axis: Axis) -> list[float]:
    series = source.series
    if not series.restarts or not len(series):
        return []
    at = np.searchsorted(series["step"], series.restarts, "right") - 1
    places = source.along(series, axis)[np.maximum(at, 0)] - source.origin(axis)
    return [float(place) for place in places]


def _where(source: Source, view: View) -> str:
    """The place of the crosshair on every axis."""
    series, axis = source.series, view.axis
    assert view.cursor is not None
    at = int(places(source.along(series, axis), view.cursor + source.origin(axis), "right"))
    if not at:
        return "before the first step"
    step, time = int(series["step"][at - 1]), float(series["time"][at - 1])
    tokens = float(source.along(series, "tokens")[at - 1])
    after = elapsed(max(round(time - source.origin("time")), 0))
    return f"step {step:,} · {count(tokens)} tokens · {after} · {clock(time)}"


def _under(curve: Curve, cell: int, mean: bool) -> str:
    """The figures of a curve in one cell, or the last before it."""
    bands = curve.bands
    inside = slice(2 * cell, 2 * cell + 2)
    good = int(bands.good[inside].sum())
    if not good:
        if bands.count[inside].any():
            return "not finite"
        earlier = np.flatnonzero(bands.good[: 2 * cell])
        return number(float(bands.means()[earlier[-1]])) if len(earlier) else "–"
    if mean or good == 1:
        return number(float(bands.total[inside].sum()) / good)
    low, high = float(np.nanmin(bands.low[inside])), float(np.nanmax(bands.high[inside]))
    if low == high:
        return number(low)
    smooth = curve.smooth[inside]
    middle = number(float(smooth[np.isfinite(smooth)][-1]))
    return f"{middle} ({number(low)} … {number(high)})"


def _newest(one: _Drawn, stacked: bool) -> str:
    """The newest figure; of a stack, the mean of the newest few."""
    values = [line.track[line.column][-20 if stacked else -1 :] * line.scale for line in one.lines]
    found = np.concatenate(values)
    finite = found[np.isfinite(found)]
    if not len(finite):
        return "not finite" if len(found) else ""
    return number(float(finite.mean()))


def _note(curves: Sequence[Curve], scale: Scale, stacked: bool) -> str:
    notes = []
    curve = curves[0]
    known = curve.smooth[np.isfinite(curve.smooth)]
    if len(curves) == 1 and curve.band is not None and len(known):
        notes.append(f"smoothed {number(float(known[-1]))}")
    if bad := int((curve.bands.count - curve.bands.good).sum()) if not stacked else 0:
        notes.append(f"{bad} not finite")
    if not stacked and (over := above(curves, scale)):
        notes.append(over)
    return " · ".join(notes)
