"""The dashboard of one run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.events import Resize
from textual.screen import Screen
from textual.timer import Timer

from cockpit.client import NoSupervisor, new_id
from cockpit.runs import Run
from cockpit.screens.arrange import PANELS, Box, arrange
from cockpit.screens.chart_desk import ChartDesk
from cockpit.screens.feed import Feed, Link
from cockpit.screens.orders import Orders
from cockpit.screens.picture import TICKING, Picture
from cockpit.widgets.canvas import Canvas
from cockpit.widgets.chart import MetricChart
from cockpit.widgets.heatmap import ExpertHeatmap
from cockpit.widgets.panels import EventList, KeyFooter, MemoryPanel, RunHeader
from trainer.contract.messages import AnyOrder, Entry, Experts, Pause, Resume, SaveCheckpoint, Stop

DATA_EVERY = 0.5
"""Seconds between two drawings of data; keys and answers are drawn at once."""
KEYS = (
    ("p", "pause/continue"), ("c", "checkpoint"), ("r", "resume"), ("s", "stop"),
    ("d", "detach"), ("1-5", "panels"), ("?", "help"), ("^p", "commands"),
)  # fmt: skip
_FIRST = {"extra": "gradient"}
"""What gets the keys where a panel is several."""
READONLY = "read only: opened with --readonly, so no commands from here"


class Dashboard(Screen[None]):
    """Header, loss, experts, memory, events, keys."""

    AUTO_FOCUS = ""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "pause", "Pause or continue"),
        Binding("c", "checkpoint", "Write a checkpoint"),
        Binding("r", "resume", "Resume or restart"),
        Binding("s", "stop", "Stop (asks)"),
        Binding("d,q", "app.detach", "Detach: the run goes on"),
        *(Binding(str(n), f"panel('{name}')", show=False) for n, name in enumerate(PANELS, 1)),
        Binding("escape", "panel('')", show=False),
        Binding("slash", "choose('metric')", "Choose what the chart draws"),
        Binding("o", "choose('runs')", "Compare with other runs"),
        Binding("pageup,k,up", "scroll_events(3)", show=False),
        Binding("pagedown,j,down", "scroll_events(-3)", show=False),
        Binding("end", "scroll_events(-100000)", show=False),
    ]

    def __init__(self, run: Run, readonly: bool = False) -> None:
        super().__init__()
        self.run = run
        self.picture = Picture(run, readonly)
        self.was_live = False
        """Whether a supervisor served it while it was shown."""
        self._readonly = readonly
        self._orders = Orders()
        self._link: Link | None = None
        self._feed = Feed(run, self.picture, self._changed, self._linked, readonly)
        # Held here and not looked up: the last batch may come when the screen is being closed.
        self._header, self._memory = RunHeader(id="header"), MemoryPanel(id="memory")
        self._experts, self._events = ExpertHeatmap(id="experts"), EventList(id="events")
        self._desk = ChartDesk(run, self.picture.source, self._soon)
        self._footer = KeyFooter(KEYS, id="footer")
        self._alone: str | None = None
        self._drawn = 0.0
        self._due: Timer | None = None
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
        self._feed.glance()
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
        self._counts_changed |= any(isinstance(entry, Experts) for entry in entries)
        if self._orders.take(entries):
            self._show_status()
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
            self._due.stop()
        self._due_at = at
        self._due = self.set_timer(at - time.monotonic(), self._draw)

    def _draw(self) -> None:
        if self._due is not None:
            self._due.stop()
        self._due = None
        self._drawn = time.monotonic()
        now, picture, state = time.time(), self.picture, self.picture.state
        awaits = picture.awaits(now)
        self._header.show(picture.header(now, self._link.text if self._link else ""))
        self._desk.draw(awaits)
        self._draw_experts(awaits)
        self._memory.show(state.memory, state.system, state.hello)
        self._events.show(picture.events)
        if state.state in TICKING:
            self._soon(1.0)

    def _draw_experts(self, awaits: str) -> None:
        experts = self._experts
        if self._counts_changed or experts.shape is None:
            self._counts_changed = False
            experts.show(self.picture.load(), awaits)
        if experts.shape != self._heat_shape:
            self._heat_shape = experts.shape
            self._arrange()

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
        self._arrange()
        alone = self.query_one(f"#{_FIRST.get(name, name)}") if self._alone else None
        self.set_focus(alone if alone is not None and alone.can_focus else None)

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

    def action_scroll_events(self, lines: int) -> None:
        """Look further back in the events."""
        self._events.scroll_lines(lines)

    # --- commands ------------------------------------------------------------------------

    def action_pause(self) -> None:
        """Pause; if it is paused or about to be, continue."""
        if self.picture.state.state == "paused" or self._orders.under_way("pause"):
            self._order("resume", Resume(id=new_id()))
        else:
            self._order("pause", Pause(id=new_id()))

    def action_checkpoint(self) -> None:
        """Write a checkpoint at the next step boundary."""
        self._order("checkpoint", SaveCheckpoint(id=new_id()))

    def action_resume(self) -> None:
        """Un-pause; or start a run that is over again, from its newest good checkpoint."""
        state = self.picture.state
        if state.state == "done":
            self._say(f"this run is done: all {state.steps} steps are made")
        elif state.over:
            self._command("resume", new_id(), self._restart)
        elif state.state == "paused" or self._orders.under_way("pause"):
            self._order("resume", Resume(id=new_id()))
        else:
            self._say(f"nothing to resume: the run is {state.state}")

    def action_stop(self) -> None:
        """Ask how, then stop."""
        if self._readonly or self.picture.state.over:
            self._order("stop", Stop(id=new_id()))
            return
        from cockpit.screens.ask import Ask, stop_question  # noqa: PLC0415 - seldom wanted

        def answered(answer: str | None) -> None:
            if answer in ("save", "leave"):
                self._order("stop", Stop(id=new_id(), checkpoint=answer == "save"))

        self.app.push_screen(Ask(*stop_question(self.run.name)), answered)

    def _order(self, name: str, order: AnyOrder) -> None:
        if self.picture.state.over and not self._readonly:
            state = self.picture.state.state
            again = "" if state == "done" else "; r starts it again"
            self._say(f"{name}: nothing runs, the run is {state}{again}")
            return

        async def send() -> None:
            await self._feed.send(order)

        self._command(name, order.id, send)

    async def _restart(self) -> None:
        await self._feed.restart()

    def _command(self, name: str, order_id: str, do: Callable[[], Awaitable[Any]]) -> None:
        """Say that it was sent, then send it: the line is on screen before anything can wait."""
        if self._readonly:
            self._say(READONLY)
            return

        async def send() -> None:
            try:
                await do()
            except (NoSupervisor, OSError) as error:
                self._orders.failed(order_id, str(error))
                self._show_status()

        self._orders.sent(order_id, name, self.picture.state.state in TICKING)
        self._show_status()
        self.run_worker(send())

    def _say(self, text: str) -> None:
        self._orders.say("warning", text)
        self._show_status()

    def _show_status(self) -> None:
        self._footer.show(self._orders.line)


def _place(panel: Canvas, box: Box | None) -> None:
    """Put a panel into its box; without one it is not shown."""
    if box is None:
        panel.display = False
        return
    styles = panel.styles
    styles.offset, styles.width, styles.height = (box.x, box.y), box.width, box.height
    panel.display = True
    if panel.grid.chars.shape != (box.height, box.width):
        panel.prepare(box.width, box.height)
