"""Light and dark, and keys that the user chose."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from make_journal import Shape, run_directory
from test_charts import opened
from test_flows import open_run, text_of
from textual.color import Color
from textual.pilot import Pilot

from cockpit import runs, terminal
from cockpit.app import Cockpit
from cockpit.settings import Settings
from cockpit.widgets.palette import scheme


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Cockpit]:
    before = terminal.in_use()
    run_directory(tmp_path, Shape(steps=120), "main")
    yield open_run(runs.find(tmp_path, "main"))
    terminal.use(before)


def backgrounds(pilot: Pilot[int]) -> set[str]:
    """Of all cells on the screen but those of the map."""
    screen = pilot.app.screen
    strips = screen._compositor.render_strips()
    found = {part.style.bgcolor for row in strips for part in row if part.style}
    return {Color.from_rich_color(colour).hex for colour in found if colour is not None}


def ground(theme: terminal.Theme) -> str:
    number = scheme(terminal.Terminal(theme=theme)).background
    grey = 8 + 10 * ((number or 0) - 232)
    return Color(grey, grey, grey).hex


async def test_a_key_changes_all_of_the_screen_and_back(app: Cockpit) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot)
        assert ground("dark") in backgrounds(pilot)
        await pilot.press("ctrl+t")
        await pilot.pause(0.2)
        assert ground("light") in backgrounds(pilot)
        assert ground("dark") not in backgrounds(pilot)
        await pilot.press("ctrl+t")
        await pilot.pause(0.2)
        assert ground("dark") in backgrounds(pilot)
        assert ground("light") not in backgrounds(pilot)


async def test_what_lies_under_a_dialog_is_changed_too(app: Cockpit) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot)
        await pilot.press("question_mark")
        await pilot.press("ctrl+t")
        await pilot.press("escape")
        await pilot.pause(0.2)
        assert ground("dark") not in backgrounds(pilot)
        assert app.current_theme.background == ground("light").lower()


async def test_chosen_keys_do_what_the_usual_ones_did(tmp_path: Path) -> None:
    run_directory(tmp_path, Shape(steps=120), "main")
    settings = Settings(keys={"alarms": "z", "help": "/", "metric": "a"})
    app = Cockpit(tmp_path, runs.find(tmp_path, "main"), settings=settings)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot)
        assert "z alarms" in text_of(app, "footer")
        for key, shown in (("z", "AlarmList"), ("/", "Help"), ("a", "Pick")):
            await pilot.press("slash" if key == "/" else key)
            await pilot.pause(0.1)
            assert type(app.screen).__name__ == shown
            await pilot.press("escape")
        await pilot.press("question_mark", "o")
        await pilot.pause(0.1)
        assert type(app.screen).__name__ != "Help"
