"""The trainer's log of a run: followed, filtered, searched, with its failures and alarms."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.events import Key, Paste

from cockpit.journal import LineTail
from cockpit.logbook import LEVELS, LogWindow, search_file
from cockpit.moments import Moment, Moments, place
from cockpit.runs import Run
from cockpit.screens.painted import Painted
from cockpit.screens.story import event_of
from cockpit.widgets.line_edit import LineEdit
from cockpit.widgets.log_panel import LogPanel
from cockpit.widgets.log_view import LogView
from cockpit.widgets.panels import KeyFooter
from cockpit.widgets.render_events import Tone

EVERY = 0.5
FAR = 2**20
"""Bytes behind the end of a log from which on following jumps there."""
KEYS = (
    ("/", "search"), ("n N", "next, previous"), ("l", "level"), ("r", "rank"),
    ("[ ]", "failures, alarms"), ("c", "in the chart"), ("f", "follow"), ("q", "back"),
)  # fmt: skip


class Logs(Painted[None]):
    """Opens at the end, or at the failure or alarm of time `at`. show_step is called, when this
    screen has gone, with the step that the user wants to see in the charts."""

    TOPIC = "log"
    CSS = "Logs > #log { height: 1fr; margin: 0 1; } Logs > #footer { height: 2; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("pageup,b", "page(-1)", show=False),
        Binding("pagedown,space", "page(1)", show=False),
        Binding("left", "shift(-20)", show=False),
        Binding("right", "shift(20)", show=False),
        Binding("home,g", "begin", "Beginning of the log"),
        Binding("end,G,f", "follow", "Follow the end of the log"),
        Binding("slash", "search", "Search the log"),
        Binding("n", "find(1)", "Next line found"),
        Binding("N", "find(-1)", "Previous line found"),
        Binding("l", "level", "Warnings, errors, or all levels"),
        Binding("r", "rank(1)", "Lines of the next rank alone"),
        Binding("R", "rank(-1)", "Lines of the rank before alone"),
        Binding("left_square_bracket", "moment(-1)", "Previous failure or alarm"),
        Binding("right_square_bracket", "moment(1)", "Next failure or alarm"),
        Binding("c", "chart", "Show its step in the charts"),
        Binding("escape,q,d", "close", "Back"),
    ]

    def __init__(
        self, run: Run, at: float | None = None, show_step: Callable[[int], None] | None = None
    ) -> None:
        super().__init__()
        self._run, self._at, self._show_step = run, at, show_step
        self._window, self._view = LogWindow(run.log), LogView()
        self._lock = asyncio.Lock()
        """Held by who changes the window, in a thread of its own."""
        self._journal, self._finder = LineTail(run.journal), Moments()
        self._moments: list[Moment] = []
        self._moment: int | None = None
        self._query: LineEdit | None = None
        """What is being typed to search for."""
        self._lines, self._footer = LogPanel(self._view, self._window), KeyFooter(KEYS, id="footer")

    def compose(self) -> ComposeResult:
        """Lines, and keys."""
        yield self._lines
        yield self._footer

    def on_mount(self) -> None:
        """Follow the log, and look through the journal."""
        self.run_worker(self._follow(), exit_on_error=False)
        self.run_worker(self._look_for_moments(), exit_on_error=False)

    # --- data ----------------------------------------------------------------------------

    async def _follow(self) -> None:
        await self._load(None)
        while True:
            await asyncio.sleep(EVERY)
            window = self._window
            async with self._lock:
                if self._view.following and window.size() - window.end > FAR:
                    await asyncio.to_thread(window.load)
                elif not await asyncio.to_thread(window.grow):
                    continue
                self._take()

    async def _load(self, around: int | None) -> None:
        async with self._lock:
            await asyncio.to_thread(self._window.load, around)
            self._take()

    def _take(self) -> None:
        self._view.take(self._window.lines)
        self._lines.redraw()

    async def _look_for_moments(self) -> None:
        while True:
            self._moments += await asyncio.to_thread(
                lambda: [one for ls in self._journal.chunks() for one in self._finder.take(ls)]
            )
            if self._at is not None:
                times = [abs(one.time - self._at) for one in self._moments]
                if times and min(times) < 1.0:
                    self._at = None
                    await self._visit(times.index(min(times)))
            await asyncio.sleep(4 * EVERY)

    # --- moving --------------------------------------------------------------------------

    async def action_move(self, by: int) -> None:
        """The cursor; at the end of what is held, more is read."""
        window, view = self._window, self._view
        if view.move(by):
            offset = view.offset
            more = window.start > 0 if by < 0 else window.end < window.size()
            if more:
                await self._load(offset)
                view.move(by)
            elif by > 0:
                view.following = True
        self._lines.redraw()

    async def action_page(self, by: int) -> None:
        """A screenful."""
        await self.action_move(by * max(self._lines.size.height - 2, 1))

    async def action_begin(self) -> None:
        """The first line."""
        self._view.following = False
        await self._load(0)
        self._view.go(0)
        self._lines.redraw()

    async def action_follow(self) -> None:
        """The last line, and those to come."""
        self._view.following = True
        await self._load(None)
        self._say("note", "")

    def action_shift(self, by: int) -> None:
        """To the right, or back."""
        self._view.shift = max(0, self._view.shift + by)
        self._lines.redraw()

    def action_level(self) -> None:
        """Fewer lines, then all."""
        self._say("note", f"level: {self._view.next_level()}")
        self._lines.redraw()

    def action_rank(self, by: int) -> None:
        """The lines of one rank."""
        self._say("note", f"lines of {self._view.next_rank(by)}")
        self._lines.redraw()

    # --- searching -----------------------------------------------------------------------

    def action_search(self) -> None:
        """Type what to look for."""
        self._query = LineEdit()
        self._typed()

    async def on_key(self, event: Key) -> None:
        """While a search is typed, letters belong to it. It begins here and not by the binding,
        which would come after letters that arrived together with the key."""
        edit = self._query
        if edit is None:
            if event.key == "slash":
                event.stop()
                self.action_search()
            return
        event.stop()
        if event.key == "enter":
            self._query, self._view.query = None, edit.text
            await self.action_find(1 if self._view.following is False else -1)
        elif event.key == "escape":
            self._query, self._view.query = None, ""
            self._say("note", "")
            self._lines.redraw()
        elif edit.key(event.key, event.character):
            self._typed()

    def on_paste(self, event: Paste) -> None:
        """Into the search."""
        if self._query is not None:
            self._query.insert(event.text)
            self._typed()

    def _typed(self) -> None:
        assert self._query is not None
        text, at = self._query.text, self._query.cursor
        self._say("note", f"/{text[:at]}▏{text[at:]}   enter: look for it, esc: cancel")

    async def action_find(self, by: int) -> None:
        """The next line with it, or the one before, wherever in the log."""
        view, query = self._view, self._view.query
        if not query:
            self._say("note", "nothing to look for yet: / asks")
            return
        self._say("note", f"looking for {query}…")
        near: int | None = None
        while not view.find(by, near):
            near = await asyncio.to_thread(self._search_file, query, by)
            if near is None or query != view.query:
                where = "below" if by > 0 else "above"
                some = f" among {LEVELS[view.kept.level]}" if view.kept.level else ""
                self._say("warning", f"no {query} further {where}{some}")
                self._lines.redraw()
                return
            view.following = False
            await self._load(near)
        self._say("note", "")
        self._lines.redraw()

    def _search_file(self, query: str, by: int) -> int | None:
        start = self._window.end if by > 0 else self._window.start
        return next(search_file(self._run.log, query, start, by), None)

    # --- failures and alarms -------------------------------------------------------------

    async def action_moment(self, by: int) -> None:
        """To the lines of the failure or alarm before, or after."""
        if not self._moments:
            self._say("note", "this run has had no failure and no alarm")
            return
        last = len(self._moments) - 1
        at = last if self._moment is None else self._moment + by
        await self._visit(max(0, min(at, last)))

    async def _visit(self, index: int) -> None:
        self._moment = index
        moment = self._moments[index]
        event = event_of(moment.entry)
        assert event is not None
        text = f"{index + 1}/{len(self._moments)}, after step {moment.step}: {event.text}"
        offset = await asyncio.to_thread(place, self._run.log, moment)
        if offset is None:
            self._say(event.tone, f"{text}  (its place in the log is not known)")
            return
        self._view.show_all()
        self._view.following = False
        await self._load(offset)
        self._view.to(offset)
        self._say(event.tone, text)
        self._lines.redraw()

    def action_chart(self) -> None:
        """Leave, and show the step of this failure or alarm in the charts."""
        if self._moment is None:
            self._say("note", "choose a failure or an alarm with [ or ] first")
        elif self._show_step is None:
            self._say("note", "open the log from a run's dashboard to see it in the charts")
        else:
            self.dismiss()
            self._show_step(self._moments[self._moment].step)

    def action_close(self) -> None:
        """Back to the screen before."""
        self.dismiss()

    def _say(self, tone: Tone, text: str) -> None:
        self._footer.show((tone, text) if text else None)
