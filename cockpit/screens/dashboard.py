"""The dashboard of one run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.events import Resize

from cockpit import terminal
from cockpit.keys import shown
from cockpit.runs import Run
from cockpit.screens.arrange import PANELS, Box, arrange
from cockpit.screens.chart_desk import ChartDesk
from cockpit.screens.commanding import Commanding
from cockpit.screens.experts import ExpertHistory
from cockpit.screens.feed import Link
from cockpit.screens.painted import Dialog
from cockpit.screens.picture import TICKING
from cockpit.settings import Settings
from cockpit.widgets.canvas import Canvas
from cockpit.widgets.chart import MetricChart
from cockpit.widgets.heatmap import ExpertHeatmap
from cockpit.widgets.panels import EventList, KeyFooter, MemoryPanel, RunHeader
from trainer.contract.messages import Alarm, Entry, Experts, Launch, Updates

DATA_EVERY = 0.5
"""Seconds between two drawings of data; keys and answers are drawn at once."""
PLOTS_EVERY = 2.0
"""The same for charts and map on a slow line: they are most of what is sent."""
MEMORY_EVERY = 2.0
"""The same for memory and sensors while steps are done: eight temperatures that flicker are as
many bytes as the curve of the loss."""
KEYS = (
    ("p", "pause"), ("c", "checkpoint"), ("r", "resume"), ("s", "stop"), ("d", "detach"),
    ("?", "help"), ("a", "alarms"), ("1-5", "panels"), ("/", "metric"), ("o", "compare"),
    ("t", "log"), ("v", "knobs"), ("^p", "commands"), ("w", "controls"), ("tab", "next panel"),
)  # fmt: skip
"""The most needed first: a narrow terminal shows as many as fit."""
_ON_THE_MAP = (Experts, Updates, Alarm, Launch)
"""What the expert heatmap shows comes with these."""
_FIRST = {"extra": "gradient"}
"""What gets the keys where a panel is several."""


class Dashboard(Commanding):
    """Header, loss, experts, memory, events, keys."""

    AUTO_FOCUS = ""
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(str(n), f"panel('{name}')", f"Panel: {name} alone, or all", show=False)
            for n, name in enumerate(PANELS, 1)
        ),
        Binding("escape", "panel('')", show=False),
        Binding("slash", "choose('metric')", "Choose what the chart draws", id="metric"),
        Binding("o", "choose('runs')", "Compare with other runs", id="compare"),
        Binding("pageup,k,up", "scroll_events(3)", show=False),
        Binding("pagedown,j,down", "scroll_events(-3)", show=False),
        Binding("end", "scroll_events(-100000)", show=False),
    ]

    def __init__(self, run: Run, readonly: bool = False, others: Sequence[str] = ()) -> None:
        """others are the ids of runs to compare it with."""
        super().__init__(run, readonly)
        self._others = others
        self.was_live = False
        """Whether a supervisor served it while it was shown."""
        self._link: Link | None = None
        # Held here and not looked up: the last batch may come when the screen is being closed.
        self._header, self._memory = RunHeader(id="header"), MemoryPanel(id="memory")
        self._experts, self._events = ExpertHeatmap(id="experts"), EventList(id="events")
        self._desk = ChartDesk(run, self.picture.source, self._soon)
        self._footer = KeyFooter(KEYS, id="footer")
        self._history = ExpertHistory(
            run, self._experts, lambda: self.picture.state.steps, self.run_worker
        )
        self._alone: str | None = None
        self._drawn = self._plotted = self._weighed = 0.0
        self._due: asyncio.TimerHandle | None = None
        self._due_at = 0.0
        self._counts_changed = True
        self._heat_shape: tuple[int, int] | None = None

    def compose(self) -> ComposeResult:
        """All panels; arrange() says which are seen, and where."""
        yield self._header
        yield from self._desk.charts
        yield self._memory
        yield self._experts
        yield self._events
        yield self._footer

    def on_mount(self) -> None:
        """Start following the run, with what its journal holds on the first frame."""
        self._footer.keys = shown(KEYS, getattr(self.app, "settings", Settings()).keys)
        self._feed.glance()
        self._desk.compare(self, self._others)
        self._draw()
        self._arrange()
        self.run_worker(self._follow())

    async def _follow(self) -> None:
        """Nothing that a journal holds or a socket does may close the screen of a run."""
        while True:
            try:
                await self._feed.follow()
            except Exception as error:  # said on the header, and tried again
                self._linked(Link(False, f"cannot follow the run: {error!r}; trying again"))
                await asyncio.sleep(5)

    # --- data ----------------------------------------------------------------------------

    def _changed(self, entries: list[Entry]) -> None:
        self._counts_changed |= any(isinstance(entry, _ON_THE_MAP) for entry in entries)
        if self._orders.take(entries):
            self._show_status()
        self._hear(entries, time.time())
        self._soon()

    def _linked(self, link: Link) -> None:
        self.was_live |= link.live
        if link != self._link:
            self._link, self._drawn = link, 0.0
            self._soon()

    def _soon(self, wait: float = DATA_EVERY) -> None:
        """Draw when the last drawing is that long ago, which may be now. However often this is
        called, there is one timer, and it is only replaced by an earlier one."""
        at = max(self._drawn + wait, time.monotonic() + 0.001)
        if self._due is not None:
            if self._due_at <= at:
                return
            self._due.cancel()
        self._due_at = at
        # Not a timer of Textual's: one that is late before it begins is never called, and one
        # that is due in the past spins for ever.
        wait = max(0.0, at - time.monotonic())
        self._due = asyncio.get_running_loop().call_later(
            wait, self.call_next, self._draw_what_is_due
        )

    def on_unmount(self) -> None:
        """Nothing is drawn any more."""
        if self._due is not None:
            self._due.cancel()

    def on_screen_resume(self) -> None:
        """What came while another screen covered this one."""
        self._soon(0)

    def _draw_what_is_due(self) -> None:
        """All; on a slow line, once there is a picture, charts and map only now and then. Nothing
        below a screen that is no dialog."""
        if self.app.screen is not self and not isinstance(self.app.screen, Dialog):
            self._due = None
            return
        spare = terminal.in_use().slow and self._link is not None and self._link.live
        wait = self._plotted + PLOTS_EVERY - time.monotonic() if spare else 0.0
        self._draw(plots=wait <= 0)
        if wait > 0:
            self._soon(wait)

    def _draw(self, plots: bool = True) -> None:
        if self._due is not None:
            self._due.cancel()
        self._due = None
        self._drawn = time.monotonic()
        now, picture, state = time.time(), self.picture, self.picture.state
        awaits = picture.awaits(now)
        header = picture.header(now, self._link.text if self._link else "")
        self._header.show(replace(header, role=self._helm.role))
        if plots:
            self._plotted = self._drawn
            self._desk.draw(awaits)
            self._draw_experts(awaits)
        if self._drawn - self._weighed >= MEMORY_EVERY or state.state != "training":
            self._weighed = self._drawn
            self._memory.show(state.memory, state.system, state.hello, state.step_split)
        self._events.show(picture.events)
        if state.state in TICKING:
            self._soon(1.0)

    def _draw_experts(self, awaits: str) -> None:
        experts = self._experts
        if self._counts_changed or experts.shape is None:
            self._counts_changed = False
            picture = self.picture
            experts.show(picture.load(), awaits, picture.movement(), picture.flags())
            self._history.grew()
        if experts.shape != self._heat_shape:
            self._heat_shape = experts.shape
            self._arrange()

    def on_expert_heatmap_changed(self, event: ExpertHeatmap.Changed) -> None:
        """The heatmap wants something of the past."""
        self._history.ask(event.scrub)

    def _show_status(self) -> None:
        self._footer.show(self._orders.line)

    # --- layout --------------------------------------------------------------------------

    def on_resize(self, _event: Resize) -> None:
        """Arrange for the new size."""
        self._draw()
        self._arrange()

    def _arrange(self) -> None:
        width, height = self.app.size
        boxes = arrange(width, height, self._experts.wants, self._alone)
        for panel in self.query_children(Canvas):
            _place(panel, boxes.get(panel.id or ""))

    def action_panel(self, name: str) -> None:
        """One panel alone over the screen; the same again, or none, brings all back."""
        self._alone = name if name and name != self._alone else None
        self._experts.alone = self._alone == "experts"
        self._arrange()
        alone = self.query_one(f"#{_FIRST.get(name, name)}") if self._alone else None
        self.set_focus(alone if alone is not None and alone.can_focus else None)

    @property
    def topic(self) -> str:
        """What the help begins with where nothing has the focus."""
        return self._alone or ""

    def on_metric_chart_enlarge(self, event: MetricChart.Enlarge) -> None:
        """A chart alone over the screen, or back."""
        name = event.chart.id or ""
        self.action_panel(self._alone or (name if name in PANELS else "extra"))
        self.set_focus(event.chart)

    def on_metric_chart_choose(self, event: MetricChart.Choose) -> None:
        """Another metric, or other runs."""
        self._desk.choose(self, event.chart, event.what)

    def action_choose(self, what: str) -> None:
        """The same by a key, with no chart chosen: for the first."""
        self._desk.choose(self, self._desk.charts[0], what)

    def show_step(self, step: int) -> None:
        """The loss alone, around a step."""
        if self._alone != "loss":
            self.action_panel("loss")
        self.set_focus(self._desk.show_step(step))

    def action_scroll_events(self, lines: int) -> None:
        """Look further back in the events."""
        self._events.scroll_lines(lines)


def _place(panel: Canvas, box: Box | None) -> None:
    """Put a panel into its box; without one it is not shown."""
    if box is None:
        panel.display = False
        return
    styles = panel.styles
    styles.offset, styles.width, styles.height = (box.x, box.y), box.width, box.height
    panel.display = True
