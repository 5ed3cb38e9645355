"""The home screen: presets to start, runs to open."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.events import Click
from textual.message import Message

from cockpit import runs
from cockpit.client import NoSupervisor, start_supervisor
from cockpit.runs import RunError
from cockpit.screens.ask import Ask, start_question
from cockpit.screens.calm import CalmScreen
from cockpit.screens.dashboard import Dashboard
from cockpit.screens.run_list import RunList, preset_rows
from cockpit.widgets.canvas import Canvas
from cockpit.widgets.grid import Grid, Ink
from cockpit.widgets.panels import KeyFooter
from cockpit.widgets.render_events import Tone
from cockpit.widgets.render_home import PresetRow, Row, RunRow, home, row_at
from trainer.contract import config as configuration
from trainer.contract import presets
from trainer.contract.config import Config, ConfigError

EVERY = 2.0
KEYS = (
    ("↑↓", "choose"),
    ("enter", "open or start"),
    ("q", "quit"),
    ("?", "help"),
    ("^p", "commands"),
)
MAIN_VALUES = (
    "train.steps", "train.lr", "train.micro_batch", "data.path", "data.seq_len", "adapter.kind",
    "engine.kind", "engine.zero_stage", "engine.offload_optimizer", "engine.offload_params",
    "launch.nproc", "checkpoint.every",
)  # fmt: skip


class Choices(Canvas):
    """Both lists and the cursor."""

    TILES = 3

    class Chosen(Message):
        """A row was clicked."""

    def __init__(self) -> None:
        super().__init__(id="choices")
        self._rows: Sequence[Row] = ()
        self._cursor = 0

    @property
    def row(self) -> Row | None:
        """What is under the cursor."""
        return self._rows[self._cursor] if self._cursor < len(self._rows) else None

    def show(self, rows: Sequence[Row]) -> None:
        """Draw these rows; the cursor stays on what it was on."""
        name = _key(self.row)
        self._rows = rows
        places = [n for n, row in enumerate(rows) if _key(row) == name]
        self._cursor = places[0] if places else min(self._cursor, max(len(rows) - 1, 0))
        self.redraw()

    def move(self, by: int) -> None:
        """The cursor, by some rows, up to the ends."""
        self._cursor = max(0, min(self._cursor + by, len(self._rows) - 1))
        self.redraw()

    def on_click(self, event: Click) -> None:
        """A click moves the cursor; a second one there chooses."""
        row = row_at(self._rows, self.size.height, self._cursor, event.screen_y - self.region.y)
        if row is None:
            return
        if row == self._cursor:
            self.post_message(self.Chosen())
        self._cursor = row
        self.redraw()

    def draw(self, width: int, height: int) -> Grid:
        """The lists."""
        return home(width, height, self._rows, self._cursor, time.time())


def _key(row: Row | None) -> str:
    if row is None:
        return ""
    return f"run {row.id}" if isinstance(row, RunRow) else f"preset {row.name}"


class Banner(Canvas):
    """Name and folder."""

    TILES = 1

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


class Home(CalmScreen[None]):
    """Presets and runs."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("pageup", "move(-10)", show=False),
        Binding("pagedown", "move(10)", show=False),
        Binding("home", "move(-100000)", show=False),
        Binding("end", "move(100000)", show=False),
        Binding("enter", "choose", "Open or start"),
        Binding("q,d", "app.detach", "Quit"),
    ]

    def __init__(self, root: Path, readonly: bool = False) -> None:
        super().__init__()
        self._root, self._readonly = root, readonly
        self._list = RunList(root)
        self._presets: list[PresetRow] = []
        self._looking = False

    def compose(self) -> ComposeResult:
        """Name, lists, keys."""
        yield Banner(self._root)
        yield Choices()
        yield KeyFooter(KEYS, id="footer")

    def on_mount(self) -> None:
        """Look now, and every two seconds while this screen is seen."""
        self._presets = preset_rows()
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
            found = await asyncio.to_thread(self._list.rows)
        finally:
            self._looking = False
        if self.is_attached:
            self.query_one(Choices).show([*self._presets, *found])

    def action_move(self, by: int) -> None:
        """The cursor."""
        self.query_one(Choices).move(by)

    def on_choices_chosen(self, _message: Choices.Chosen) -> None:
        """A click on what the cursor is on."""
        self.action_choose()

    def action_choose(self) -> None:
        """Open the run, or ask whether to start the preset."""
        row = self.query_one(Choices).row
        if isinstance(row, RunRow):
            self.app.push_screen(Dashboard(self._list.runs[row.id], self._readonly))
        elif isinstance(row, PresetRow):
            self._ask(row.name)

    def _ask(self, preset: str) -> None:
        if self._readonly:
            self._say("warning", "read only: opened with --readonly, so nothing is started")
            return
        try:
            config = presets.resolve(preset)
        except ConfigError as error:
            self._say("bad", str(error))
            return

        def answered(answer: str | None) -> None:
            if answer == "start":
                self._say("note", f"starting {preset}…")
                self.run_worker(self._start(preset, config))

        self.app.push_screen(Ask(*start_question(preset, main_values(config))), answered)

    async def _start(self, preset: str, config: Config) -> None:
        try:
            run = await asyncio.to_thread(runs.create, self._root, preset, config)
            await start_supervisor(run)
            self._say("good", f"started {run.name}")
            self.app.push_screen(Dashboard(run))
        except (NoSupervisor, RunError, OSError) as error:
            self._say("bad", f"{preset} was not started: {error}")

    def _say(self, tone: Tone, text: str) -> None:
        self.query_one(KeyFooter).show((tone, text))


def main_values(config: Config) -> list[tuple[str, str]]:
    """What one wants to have seen before a start."""
    values = [(key, configuration.get(config, key)) for key in MAIN_VALUES]
    tiny = config.model.tiny
    model = f"random, {tiny.layers} layers × {tiny.experts} experts" if tiny else config.model.path
    return [("model", str(model)), *((key, str(value)) for key, value in values)]
