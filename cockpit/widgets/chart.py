"""The line chart of one metric."""

from __future__ import annotations

import numpy as np

from cockpit.series import Bands, Series, Smooth, domain_end
from cockpit.widgets.canvas import Canvas
from cockpit.widgets.grid import Grid, Ink
from cockpit.widgets.render_chart import (
    GUTTER,
    Chart,
    Curve,
    Scale,
    chart,
    scale_for,
    value_range,
    waiting,
)

SMOOTHING = 0.01
"""Half life of the smoothed line, as a part of the x axis."""


class MetricChart(Canvas):
    """A metric over the steps: a band from lowest to highest, and a smoothed line."""

    TILES = 6

    def __init__(
        self, metric: str, label: str, inks: tuple[int, int] = (Ink.BAND, Ink.LINE),
        *, id: str | None = None,  # noqa: A002 - Textual's name
    ) -> None:  # fmt: skip
        super().__init__(id=id)
        self._metric, self._label, self._inks = metric, label, inks
        self._series, self._total, self._waiting = Series(), 0, ""
        self._bands = Bands.empty(0, 1, 0)
        self._smooth = Smooth(10)
        self._scale: Scale | None = None
        self._epoch = self._read = 0

    def show(self, series: Series, total: int, waiting: str) -> None:
        """Draw a series (which may be the same, grown) of a run of `total` steps, 0 if that is
        unknown. waiting says what is awaited while there is no step."""
        if series is not self._series:
            self._bands, self._smooth, self._scale = Bands.empty(0, 1, 0), Smooth(10), None
        self._series, self._total, self._waiting = series, total, waiting
        self.redraw()

    def draw(self, width: int, height: int) -> Grid:
        """The chart, or what it waits for."""
        if not len(self._series) or width < GUTTER + 8 or height < 4:
            return waiting(width, height, self._label, self._waiting)
        smooth = self._catch_up(2 * (width - GUTTER - 1))
        low, high = value_range(self._bands)
        self._scale = scale_for(low, high, height - 2, self._scale)
        newest = float(self._series[self._metric][-1])
        shown = Chart(
            self._label,
            Curve(self._bands, smooth, self._inks),
            self._scale,
            newest,
            self._series.gaps(self._metric),
            tuple(self._series.restarts),
        )
        return chart(width, height, shown)

    def _catch_up(self, columns: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """Bring bands and smoothed line up to the series; the smoothed value at each part."""
        series = self._series
        end = domain_end(int(series["step"][-1]), self._total)
        span = (0.0, end + 0.5)
        intact = series.intact(self._epoch, self._read)
        if not self._bands.fits(*span, columns):
            self._bands, intact = Bands.empty(*span, columns), 0
        half_life = max(end * SMOOTHING, 3.0)
        if half_life != self._smooth.half_life:
            self._smooth = Smooth(half_life)
        self._epoch, self._read = series.epoch, len(series)
        bands = self._bands
        bands.update(series["step"], series[self._metric], intact)
        self._smooth.follow(series, self._metric)
        drawn = (bands.count > 0) & np.isfinite(bands.low)
        return np.where(drawn, self._smooth.values[bands.last], np.nan)
