"""What is painted when a key changes the screen: what has changed, and once."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from make_journal import Shape, run_directory
from test_charts import opened
from test_flows import open_run
from textual.geometry import Region
from textual.strip import Strip

from cockpit import runs
from cockpit.app import Cockpit
from cockpit.widgets.canvas import Tile

Painted = Counter[tuple[str | None, int, int]]


@pytest.fixture
def app(tmp_path: Path) -> Cockpit:
    run_directory(tmp_path, Shape(steps=120), "main")
    return open_run(runs.find(tmp_path, "main"))


@pytest.fixture
def painted(monkeypatch: pytest.MonkeyPatch) -> Painted:
    """How often each row of each tile was painted: (panel, tile, row)."""
    found: Painted = Counter()
    paint: Callable[[Tile, Region], list[Strip]] = Tile.render_lines

    def counted(tile: Tile, crop: Region) -> list[Strip]:
        assert tile.parent is not None
        number = list(tile.parent.children).index(tile)
        found.update((tile.parent.id, number, row) for row in crop.line_range)
        return paint(tile, crop)

    monkeypatch.setattr(Tile, "render_lines", counted)
    return found


async def test_a_panel_that_gets_the_keys_paints_no_other(app: Cockpit, painted: Painted) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot)
        await pilot.pause(0.2)
        painted.clear()
        await pilot.press("tab")
        await pilot.pause(0.2)
        assert {panel for panel, _, _ in painted} == {"loss"}


async def test_a_panel_that_is_opened_is_painted_once(app: Cockpit, painted: Painted) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot)
        await pilot.pause(0.2)
        painted.clear()
        await pilot.press("1")
        await pilot.pause(0.2)
        rows = {row: times for row, times in painted.items() if row[0] == "loss"}
        assert len(rows) > 100
        assert set(rows.values()) == {1}


async def test_what_was_under_a_dialog_is_painted_again(app: Cockpit, painted: Painted) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot)
        await pilot.press("question_mark")
        await pilot.pause(0.2)
        painted.clear()
        await pilot.press("escape")
        await pilot.pause(0.2)
        assert {"header", "loss", "experts", "footer"} <= {panel for panel, _, _ in painted}
