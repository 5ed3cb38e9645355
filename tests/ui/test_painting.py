"""What goes to the terminal when the screen changes: the cells that changed, and no others."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from make_journal import Shape, run_directory
from rich.console import Console
from test_charts import opened
from test_flows import open_run
from textual._compositor import Compositor
from textual.drivers.headless_driver import HeadlessDriver
from textual.pilot import Pilot

from cockpit import runs, terminal
from cockpit.app import Cockpit
from cockpit.terminal import Terminal
from cockpit.widgets.canvas import Canvas
from tests.unit.emulator import Emulator

SIZE = (120, 40)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """The terminal of the app. Its driver takes no bytes otherwise."""
    emulator = Emulator(*SIZE)
    monkeypatch.setattr(Cockpit, "is_headless", False)
    monkeypatch.setattr(HeadlessDriver, "write", lambda _driver, text: emulator.feed(text))
    return emulator


@pytest.fixture
def app(tmp_path: Path, shown: Emulator) -> Cockpit:
    run_directory(tmp_path, Shape(steps=120), "main")
    return open_run(runs.find(tmp_path, "main"))


@pytest.fixture
def kind(request: pytest.FixtureRequest) -> Iterator[Terminal]:
    before = terminal.in_use()
    terminal.use(request.param)
    yield request.param
    terminal.use(before)


async def still(pilot: Pilot[int]) -> None:
    """Nothing is left to be painted."""
    await pilot.pause(0.2)


def painted_by_textual(app: Cockpit) -> Emulator:
    """The screen in front, as Textual's own compositor paints it."""
    emulator = Emulator(*SIZE)
    painter = app.screen._compositor
    update: Any = Compositor.render_update(painter, full=True, screen_stack=app._background_screens)
    system: Any = terminal.in_use().colour_system
    emulator.feed(update.render_segments(Console(force_terminal=True, color_system=system)))
    return emulator


def differing(app: Cockpit, shown: Emulator) -> list[object]:
    """Cells of panels that Textual would paint otherwise: row, column, both. (Between panels it has
    the nearest of another set of colours.)"""
    cells = set().union(*(of(app, panel.id) for panel in app.screen.query(Canvas) if panel.id))
    ours, textual = shown.seen(), painted_by_textual(app).seen()
    return [
        (y, x, ours[y][x], textual[y][x]) for y, x in sorted(cells) if ours[y][x] != textual[y][x]
    ]


def of(app: Cockpit, name: str) -> set[tuple[int, int]]:
    """The cells of a panel."""
    region = app.screen.query_one(f"#{name}", Canvas).region
    return {(y, x) for y in region.line_range for x in region.column_range}


@pytest.mark.parametrize(
    "kind", [Terminal("256"), Terminal("256", "light"), Terminal("16")], indirect=True, ids=str
)
async def test_it_is_the_picture_that_textual_would_paint(
    kind: Terminal, app: Cockpit, shown: Emulator
) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot)
        for key in (
            "tab",
            "tab",
            "down",
            "right",
            "2",
            "z",
            "2",
            "1",
            "1",
            "t",
            "q",
            "question_mark",
        ):
            await pilot.press(key)
            await still(pilot)
            assert differing(app, shown) == [], key


async def test_a_panel_that_gets_the_keys_sends_no_other(app: Cockpit, shown: Emulator) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot)
        await still(pilot)
        shown.touched.clear()
        await pilot.press("tab")
        await still(pilot)
        assert shown.touched
        assert shown.touched <= of(app, "loss")


async def test_what_is_drawn_anew_and_looks_the_same_sends_nothing(
    app: Cockpit, shown: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot)
        await still(pilot)
        sent: list[str] = []
        monkeypatch.setattr(HeadlessDriver, "write", lambda _driver, text: sent.append(text))
        for panel in app.screen.query(Canvas):
            panel.redraw()
        app.screen.refresh()
        await still(pilot)
        assert sent == []


async def test_a_panel_is_drawn_once_a_frame(app: Cockpit, monkeypatch: pytest.MonkeyPatch) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot)
        await still(pilot)
        panel = app.screen.query_one("#loss", Canvas)
        draw, drawn = panel.draw, []
        monkeypatch.setattr(panel, "draw", lambda *size: drawn.append(size) or draw(*size))
        await pilot.press("1")  # another size, another focus
        await still(pilot)
        assert len(drawn) == 1


async def test_a_dialog_sends_its_box_and_gives_it_back(app: Cockpit, shown: Emulator) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot)
        await still(pilot)
        before = shown.seen()
        shown.touched.clear()
        await pilot.press("a")
        await still(pilot)
        box = of(app, "alarms")
        assert shown.touched <= box
        assert {
            (y, x) for y, row in enumerate(shown.lines()) for x, c in enumerate(row) if c in "╭╮╰╯"
        }
        lines, textual = shown.lines(), painted_by_textual(app).lines()
        region = app.screen.query_one("#alarms", Canvas).region
        for y in region.line_range:
            across = slice(region.x, region.right)
            assert lines[y][across] == textual[y][across]
        shown.touched.clear()
        await pilot.press("escape")
        await still(pilot)
        assert shown.touched <= box
        assert shown.seen() == before


@pytest.mark.parametrize("leave", ["escape", "enter"])
async def test_after_what_textual_paints_all_is_sent(
    app: Cockpit, shown: Emulator, leave: str
) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot)
        await still(pilot)
        await pilot.press("ctrl+p")
        await still(pilot)
        assert app.paper is None
        if leave == "enter":  # from the palette straight to another screen
            await pilot.press(*"help", "enter")
            await still(pilot)
        else:
            await pilot.press("escape")
            await still(pilot)
        assert differing(app, shown) == []


async def test_ctrl_l_sends_all(app: Cockpit, shown: Emulator) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot)
        await still(pilot)
        before = shown.seen()
        shown.feed("\x1b[5;5HBroadcast message from root: the node goes down\x1b[1;1H")
        await pilot.press("ctrl+l")
        await still(pilot)
        assert shown.seen() == before


async def test_another_theme_changes_every_cell(app: Cockpit, shown: Emulator) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot)
        await pilot.press("ctrl+t")
        await still(pilot)
        try:
            assert differing(app, shown) == []
            assert {look.back for row in shown.seen() for _, look in row} >= {"48;5;255"}
        finally:
            await pilot.press("ctrl+t")


async def test_a_picture_for_a_file_has_all_and_costs_the_terminal_nothing(
    app: Cockpit, shown: Emulator
) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot)
        await still(pilot)
        app.screen.query_one("#loss", Canvas).focus()
        svg = app.export_screenshot(title="a run").replace("&#160;", " ")
        words = re.sub("<[^>]*>", "", svg)
        for part in ("a run", "120/120", "busiest", "checkpoint"):
            assert part in words
        await still(pilot)
        assert differing(app, shown) == []


@pytest.mark.parametrize("key", ["a", "o", "slash", "question_mark", "t", "1"])
async def test_a_terminal_may_become_as_small_as_it_likes(tmp_path: Path, key: str) -> None:
    run_directory(tmp_path, Shape(steps=20), "main")
    app = open_run(runs.find(tmp_path, "main"))
    async with app.run_test(size=(60, 20)) as pilot:
        await still(pilot)
        await pilot.press(key)
        for size in ((30, 10), (10, 6), (5, 4), (4, 4), (3, 3), (1, 1), (1, 40), (120, 1), SIZE):
            await pilot.resize_terminal(*size)
            await pilot.pause(0.02)
        await still(pilot)
        assert app.screen.query(Canvas).first().size.width > 20
