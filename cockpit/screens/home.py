"""The home screen: presets to start, runs to open."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.events import Key, Paste

from cockpit.runs import Run
from cockpit.screens import starting, tidy
from cockpit.screens.actions import Action
from cockpit.screens.dashboard import Dashboard
from cockpit.screens.listing import after, listed
from cockpit.screens.logs import Logs
from cockpit.screens.painted import Painted
from cockpit.screens.run_list import RunList, preset_rows
from cockpit.widgets.canvas import Canvas
from cockpit.widgets.grid import Grid, Ink
from cockpit.widgets.home_list import HomeList
from cockpit.widgets.line_edit import LineEdit
from cockpit.widgets.panels import KeyFooter
from cockpit.widgets.render_events import Tone
from cockpit.widgets.render_home import PresetRow, RunRow, Shown

EVERY = 2.0
PATIENCE = 0.2
"""Seconds after which a long list is shown as far as it is known."""
KEYS = (
    ("enter", "open"), ("/", "filter"), ("s", "sort"), ("t", "log"), ("n", "rename"),
    ("x", "delete"), ("?", "help"), ("q", "quit"), ("space", "compare"), ("^p", "commands"),
)  # fmt: skip
"""The most needed first: a narrow terminal shows as many as fit."""


class Banner(Canvas):
    """Name and folder."""

    def __init__(self, root: Path) -> None:
        super().__init__(id="banner")
        self._root = root

    def draw(self, width: int, height: int) -> Grid:
        """One line."""
        grid = Grid(width, height)
        column = grid.put(0, 1, "l4cockpit", Ink.TITLE)
        column = grid.put(0, column, "  fine-tuning Llama 4", Ink.DIM)
        text = f"runs in {self._root}"
        if column + len(text) + 2 < width:
            grid.put_right(0, text, Ink.DIM, 1)
        return grid


class Home(Painted[None]):
    """Presets and runs."""

    TOPIC = "home"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("pageup", "move(-10)", show=False),
        Binding("pagedown", "move(10)", show=False),
        Binding("home,g", "move(-100000)", show=False),
        Binding("end,G", "move(100000)", show=False),
        Binding("enter", "choose", "Open or start"),
        Binding("space", "mark", "Mark the run, to compare"),
        Binding("slash", "filter", "Filter the runs"),
        Binding("s", "sort", "Sort the runs by the next column"),
        Binding("S", "turn", "Sort the other way round"),
        Binding("t", "logs", "Trainer's log of the run"),
        Binding("n", "rename", "Rename the run"),
        Binding("x,delete", "delete", "Delete the run (asks)"),
        Binding("escape", "show_all", "Show all runs; then, mark none", show=False),
        Binding("q,d", "app.detach", "Quit"),
    ]

    def __init__(self, root: Path, readonly: bool = False) -> None:
        super().__init__()
        self._root, self._readonly = root, readonly
        self._list = RunList(root)
        self._presets: list[PresetRow] = []
        self._runs: list[RunRow] = []
        self._shown = Shown(looking=True)
        self._query: LineEdit | None = None
        """What is being typed to filter by."""
        self._looking = False

    def compose(self) -> ComposeResult:
        """Name, lists, keys."""
        yield Banner(self._root)
        yield HomeList()
        yield KeyFooter(KEYS, id="footer")

    def on_mount(self) -> None:
        """Presets at once; runs now, and every two seconds while this screen is seen."""
        self._presets = preset_rows()
        self._show()
        self._refresh()
        self.set_interval(EVERY, self._refresh)

    def on_screen_resume(self) -> None:
        """Coming back: look at once."""
        self._refresh()

    def _refresh(self) -> None:
        if self.is_current and not self._looking:
            self._looking = True
            self.run_worker(self._look())

    async def _look(self) -> None:
        try:
            while True:
                self._runs = await asyncio.to_thread(self._list.rows, PATIENCE)
                if not self.query(HomeList):
                    return  # the screen is going, its parts have gone
                self._shown = self._shown._replace(looking=False)
                self._show()
                if self._list.complete:
                    return
        finally:
            self._looking = False

    def _show(self) -> None:
        shown = self._shown
        found = listed(self._runs, shown.query, shown.order, shown.down)
        self._shown = shown = shown._replace(hidden=len(self._runs) - len(found))
        self.query_one(HomeList).show([*self._presets, *found], shown)

    # --- the list ------------------------------------------------------------------------

    def action_move(self, by: int) -> None:
        """The cursor."""
        self.query_one(HomeList).move(by)

    def action_filter(self) -> None:
        """Type what to look for."""
        self._query = LineEdit(self._shown.query)
        self._filtered()

    def on_key(self, event: Key) -> None:
        """While a filter is typed, letters belong to it. It begins here and not by the binding,
        which would come after letters that arrived together with the key."""
        if self._query is None:
            if event.key == "slash":
                event.stop()
                self.action_filter()
            return
        if self._query.key(event.key, event.character):
            self._filtered()
        elif event.key in ("enter", "up", "down", "escape"):
            self._query = None
            self._say("note", f"filter: {self._shown.query}" if self._shown.query else "")
            if event.key != "enter":
                return  # to what the key does otherwise
        event.stop()

    def on_paste(self, event: Paste) -> None:
        """Into the filter."""
        if self._query is not None:
            self._query.insert(event.text)
            self._filtered()

    def _filtered(self) -> None:
        assert self._query is not None
        self._shown = self._shown._replace(query=self._query.text)
        self._show()
        self.query_one(HomeList).to_first_run()
        text, at = self._query.text, self._query.cursor
        self._say("note", f"/{text[:at]}▏{text[at:]}   enter: keep it, esc: all runs")

    def action_show_all(self) -> None:
        """No filter; without one, no marks."""
        if not self._shown.query:
            self._shown = self._shown._replace(marked=frozenset())
        self._shown = self._shown._replace(query="")
        self._show()
        self._say("note", "")

    def action_sort(self) -> None:
        """By the next column."""
        self._shown = self._shown._replace(order=after(self._shown.order))
        self._show()

    def action_turn(self) -> None:
        """The other way round."""
        self._shown = self._shown._replace(down=not self._shown.down)
        self._show()

    def action_mark(self) -> None:
        """Mark the run under the cursor, or no more; then the next."""
        row = self.query_one(HomeList).row
        if not isinstance(row, RunRow):
            self._say("warning", "mark: put the cursor on a run")
            return
        marked = self._shown.marked ^ {row.key}
        self._shown = self._shown._replace(marked=marked)
        self._show()
        self.action_move(1)
        text = f"{len(marked)} marked: enter opens a run with these laid over it, esc: none"
        self._say("note", text if marked else "")

    # --- a run ---------------------------------------------------------------------------

    def _run(self, doing: str) -> Run | None:
        """The run under the cursor, if it can be changed from here."""
        row = self.query_one(HomeList).row
        if not isinstance(row, RunRow):
            self._say("warning", f"{doing}: put the cursor on a run")
        elif self._readonly:
            self._say("warning", f"read only: opened with --readonly, so no {doing} from here")
        else:
            return self._list.runs.get(row.key)
        return None

    def action_logs(self) -> None:
        """What its ranks printed."""
        row = self.query_one(HomeList).row
        if isinstance(row, RunRow):
            self.app.push_screen(Logs(self._list.runs[row.key]))
        else:
            self._say("warning", "log: put the cursor on a run")

    def action_rename(self) -> None:
        """Ask for another name."""
        if run := self._run("rename"):
            tidy.rename(self.app, run, self._changed)

    def action_delete(self) -> None:
        """Ask, then delete."""
        if run := self._run("delete"):
            self.run_worker(tidy.delete(self.app, self._root, run, self._changed))

    def _changed(self, tone: Tone, text: str) -> None:
        self._say(tone, text)
        self._refresh()

    def on_home_list_chosen(self, _message: HomeList.Chosen) -> None:
        """A click on what the cursor is on."""
        self.action_choose()

    def action_choose(self) -> None:
        """Open the run, with the marked ones laid over it; or ask about the preset's values."""
        row = self.query_one(HomeList).row
        if isinstance(row, RunRow):
            self._open(row.key)
        elif isinstance(row, PresetRow):
            self._ask(row.name)

    def _open(self, key: str) -> None:
        found = self._list.runs
        others = [run.id for other, run in found.items() if other in self._shown.marked]
        self.app.push_screen(Dashboard(found[key], self._readonly, others))

    def _ask(self, preset: str) -> None:
        if self._readonly:
            self._say("warning", "read only: opened with --readonly, so nothing is started")
        else:
            self.run_worker(starting.start(self.app, self._root, preset, self._say))

    def more_actions(self) -> Iterator[Action]:
        """For the command palette: each preset and each run."""
        for preset in self._presets:
            yield Action(
                f"Start {preset.name}", preset.description, partial(self._ask, preset.name)
            )
        for key, run in self._list.runs.items():
            about = f"{run.preset}, {run.id}"
            yield Action(f"Open {run.name}", about, partial(self._open, key))
            yield Action(f"Log of {run.name}", about, partial(self.app.push_screen, Logs(run)))

    def _say(self, tone: Tone, text: str) -> None:
        self.query_one(KeyFooter).show((tone, text) if text else None)
