"""The line chart of a metric."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from textual.binding import Binding, BindingType
from textual.message import Message

from cockpit import metrics
from cockpit.metrics import Metric
from cockpit.source import Axis, Source
from cockpit.widgets import palette
from cockpit.widgets.chart_keys import HINT, Navigated
from cockpit.widgets.chart_model import ChartModel, reach
from cockpit.widgets.chart_view import View
from cockpit.widgets.grid import Grid, Ink
from cockpit.widgets.render_chart import GUTTER, chart, waiting


class MetricChart(Navigated):
    """A metric over the steps, the tokens or the time: a band from lowest to highest, and a
    smoothed line; of several runs or ranks, a line each."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "enlarge", "Chart: alone over the screen, or back"),
        Binding("slash", "choose('metric')", "Chart: choose the metric"),
        Binding("o", "choose('runs')", "Chart: compare with other runs"),
        Binding("left_square_bracket", "metric(-1)", show=False),
        Binding("right_square_bracket", "metric(1)", show=False),
    ]

    class Enlarge(Message):
        """It wants the whole screen, or to give it back."""

        def __init__(self, chart: MetricChart) -> None:
            super().__init__()
            self.chart = chart

    class Choose(Message):
        """Somebody wants to choose its `metric`, or the `runs` that it compares."""

        def __init__(self, chart: MetricChart, what: str) -> None:
            super().__init__()
            self.chart, self.what = chart, what

    def __init__(
        self, metric: str, inks: tuple[int, int] = (Ink.BAND, Ink.LINE),
        *, id: str | None = None,  # noqa: A002 - Textual's name
    ) -> None:  # fmt: skip
        super().__init__(id=id)
        self.metric: Metric = metrics.find(metric)
        self._model = ChartModel(inks)
        self._sources: Sequence[Source] = (Source(),)
        self._waiting = ""

    def show(self, sources: Sequence[Source], waiting: str) -> None:
        """Draw the numbers of some runs (which may be the same, grown), the first of them being the
        one that the axes and marks belong to. waiting says what is awaited while there are none."""
        if sources[0] is not self._sources[0]:
            self.view = View()
        self._sources, self._waiting = sources, waiting
        self.view = self.view.moved_on(self.reach()[0])
        self.redraw()

    def plot(self, metric: str) -> None:
        """Draw another metric, of the same part of the run."""
        self.metric = metrics.find(metric)
        self.redraw()

    def draw(self, width: int, height: int) -> Grid:
        """The chart, or what it waits for."""
        small = width < GUTTER + 8 or height < 4
        if small or not any(len(source.series) for source in self._sources):
            return waiting(width, height, self.metric.label, self._waiting)
        hint = HINT if self.has_focus and height >= 16 and width >= 60 else ()
        shown = self._model.chart(self._sources, self.metric, self.view, width, height, hint)
        if shown is None:
            text = f"no numbers of {self.metric.label} yet; / chooses another metric"
            return waiting(width, height, self.metric.label, text)
        shown.chosen = self.has_focus
        return chart(width, height, shown, palette.charts())

    # --- for keys and mouse --------------------------------------------------------------

    def points(self) -> npt.NDArray[Any]:
        """See Navigated."""
        return self._model.points(self._sources[0], self.metric, self.view.axis)

    def reach(self) -> tuple[float, float | None]:
        """See Navigated."""
        return reach(self._sources, self.view.axis)

    def least(self) -> float:
        """See Navigated: the room of eight steps."""
        source = self._sources[0]
        return max(8 * source.end(self.view.axis) / max(len(source.series), 1), 1e-3)

    def on_other_axis(self, place: float, axis: Axis) -> float:
        """See Navigated."""
        source = self._sources[0]
        if not len(source.series):
            return 0.0
        here = source.along(source.series, self.view.axis) - source.origin(self.view.axis)
        there = source.along(source.series, axis) - source.origin(axis)
        found = float(np.interp(place, here, there))
        if place > here[-1] > 0:  # beyond the newest: in proportion
            found = float(there[-1]) * place / float(here[-1])
        return found

    def look(self, view: View) -> None:
        """See Navigated."""
        if (view.window, view.axis) != (self.view.window, self.view.axis):
            self._model.refit()
        super().look(view)

    def action_enlarge(self) -> None:
        """The whole screen, or back."""
        self.post_message(self.Enlarge(self))

    def action_choose(self, what: str) -> None:
        """Ask for another metric, or for other runs."""
        self.post_message(self.Choose(self, what))

    def action_metric(self, by: int) -> None:
        """The next metric of those that the run has, or the one before."""
        names = [metric.name for metric in metrics.available(self._sources[0])]
        if names:
            at = names.index(self.metric.name) if self.metric.name in names else -1
            self.plot(names[(at + by) % len(names)])
