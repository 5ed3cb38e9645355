"""The charts of a dashboard: what they show, and the runs that they compare."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from textual.screen import Screen
from textual.worker import Worker

from cockpit import metrics, runs
from cockpit.runs import Run, RunError
from cockpit.screens.feed import Feed
from cockpit.screens.picture import Picture
from cockpit.source import Source
from cockpit.widgets.chart import MetricChart
from cockpit.widgets.chart_view import nearest
from cockpit.widgets.grid import Ink

if TYPE_CHECKING:
    from cockpit.screens.pick import Item

MARGIN = 60
"""Steps that are seen before and after one that was asked for, at the least."""
MOST = 7
"""Runs beside this one: more could not be told apart."""
_SECOND = (Ink.SECOND_BAND, Ink.SECOND)


class _Other(NamedTuple):
    """A run that is compared, and what follows it."""

    picture: Picture
    follower: Worker[None]


class ChartDesk:
    """Owns the charts of one screen. `changed` is called when another run has news."""

    def __init__(self, run: Run, source: Source, changed: Callable[[], None]) -> None:
        self._run, self._source, self._changed = run, source, changed
        self.charts = (
            MetricChart("loss", id="loss"),
            MetricChart("grad_norm", _SECOND, id="gradient"),
            MetricChart("tokens_per_second", _SECOND, id="speed"),
        )
        self._others: dict[str, _Other] = {}

    def draw(self, waiting: str) -> None:
        """Bring those that are seen up to date."""
        sources = [self._source, *(other.picture.source for other in self._others.values())]
        for chart in self.charts:
            chart.show(sources, waiting)

    def choose(self, screen: Screen[None], chart: MetricChart, what: str) -> None:
        """Let the user choose the chart's metric, or another run to compare with."""
        from cockpit.screens.pick import Pick  # noqa: PLC0415 - seldom wanted

        heading = "what to draw" if what == "metric" else "compare with; once more: not"
        items = self._metrics(chart) if what == "metric" else self._runs()

        def chosen(key: str | None) -> None:
            if key and what == "metric":
                chart.plot(key)
            elif key:
                self._toggle(screen, key)

        screen.app.push_screen(Pick(heading, items), chosen)

    def _metrics(self, chart: MetricChart) -> list[Item]:
        from cockpit.screens.pick import Item  # noqa: PLC0415

        return [
            Item(metric.name, metric.label, metric.about, metric is chart.metric)
            for metric in metrics.available(self._source)
        ]

    def _runs(self) -> list[Item]:
        from cockpit.screens.pick import Item  # noqa: PLC0415

        found = runs.all_runs(self._run.path.parent)
        return [
            Item(run.id, run.name, run.preset, run.id in self._others)
            for run in found
            if run.id != self._run.id
        ]

    def compare(self, screen: Screen[None], run_ids: Iterable[str]) -> None:
        """Lay these runs, too, over this one, up to MOST in all."""
        for run_id in run_ids:
            if run_id not in self._others and run_id != self._run.id:
                self._toggle(screen, run_id)

    def show_step(self, step: int) -> MetricChart:
        """Put the first chart's crosshair on a step, with some before it and after; the chart."""
        chart = self.charts[0]
        room = max(MARGIN, chart.reach()[0] / 50)
        window = (max(step - room, 0.0), step + room)
        view = replace(chart.view, axis="step", window=window, following=False, cursor=None)
        chart.look(view)
        if len(points := chart.points()):
            chart.look(replace(chart.view, cursor=nearest(points, float(step))))
        return chart

    def _toggle(self, screen: Screen[None], run_id: str) -> None:
        if (other := self._others.pop(run_id, None)) is not None:
            other.follower.cancel()
        elif len(self._others) < MOST:
            try:
                run = runs.find(self._run.path.parent, run_id)
            except RunError:  # deleted while the list was shown
                screen.app.bell()
                return
            picture = Picture(run)
            feed = Feed(run, picture, lambda _: self._changed(), lambda _: None, readonly=True)
            # What another run's journal holds may not close the screen of this one.
            follower = screen.run_worker(feed.follow(), exit_on_error=False)
            self._others[run_id] = _Other(picture, follower)
        self._changed()
