"""What is on the screen while the screens are being loaded."""

import sys
from pathlib import Path

import pytest
from make_journal import Shape, run_directory

from cockpit import runs
from cockpit.app import Cockpit
from cockpit.screens.curtain import Curtain


async def test_keys_that_come_before_the_dashboard_is_there_are_kept_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_directory(tmp_path, Shape(steps=20))
    monkeypatch.delitem(sys.modules, "cockpit.screens.dashboard")
    app = Cockpit(tmp_path, runs.find(tmp_path, None))
    async with app.run_test(size=(120, 40)) as pilot:
        curtain = app.screen
        assert isinstance(curtain, Curtain)
        curtain._keys.append("2")
        while app.screen is curtain:
            await pilot.pause(0.02)
        await pilot.pause(0.1)
        assert app.dashboard is app.screen
        assert app.screen.focused is app.screen.query_one("#experts")


async def test_the_frame_has_the_runs_name_and_its_panels_and_can_be_left(tmp_path: Path) -> None:
    run_directory(tmp_path, Shape(steps=20), "early")
    app = Cockpit(tmp_path, runs.find(tmp_path, "early"))

    async def never(_keys: list[str]) -> None:
        pass

    async with app.run_test(size=(120, 40)) as pilot:
        module = "cockpit.screens.dashboard"
        await app.push_screen(Curtain("◌ opening", "early", "tiny", module, never))
        await pilot.pause()
        frame = app.screen.children[0]
        rows = ["".join(part.text for part in frame.render_line(y)) for y in range(40)]
        assert rows[0].split() == ["◌", "opening", "early", "tiny"]
        for panel in ("loss ─", "memory ─", "experts ─", "events ─"):
            assert any(panel in row for row in rows)
        await pilot.press("p")  # no command reaches a run that is not there yet
        assert isinstance(app.screen, Curtain)
        await pilot.press("ctrl+c")
        assert app.screen is app.dashboard
