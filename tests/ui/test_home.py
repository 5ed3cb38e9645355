"""The home screen: finding, renaming and deleting runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_supervisor import FakeSupervisor
from make_journal import Shape, run_directory
from test_flows import text_of, until
from textual.pilot import Pilot

from cockpit import runs
from cockpit.app import Cockpit
from cockpit.widgets.render_home import RunRow
from trainer.contract import presets


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three runs: two done, one that died."""
    for name, loss in (("warm", 60), ("cold", 30)):
        run_directory(tmp_path, Shape(steps=loss), name)
    run_directory(tmp_path, Shape(steps=60, crash=True), "crashed", "tiny-lora")
    return tmp_path


def names(app: Cockpit) -> list[str]:
    found = app.screen.query_one("#choices")._rows
    return [row.name for row in found if isinstance(row, RunRow)]


async def opened(pilot: Pilot[int]) -> None:
    await until(pilot, lambda: "warm" in text_of(pilot.app))


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60), (50, 14)])
async def test_the_list_has_state_loss_and_curve(root: Path, size: tuple[int, int]) -> None:
    app = Cockpit(root, None)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: "warm" in names(app))
        await pilot.press("end")
        await opened(pilot)
        (line,) = [line for line in text_of(app).splitlines() if "warm" in line]
        assert "✓ done" in line and "60/60" in line
        assert any(level in line for level in "▁▂▃▄▅▆▇█") == (size[0] > 60)


async def test_typing_filters_and_escape_shows_all(root: Path) -> None:
    app = Cockpit(root, None)
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot)
        await pilot.press("slash", *"lora")
        await until(pilot, lambda: names(app) == ["crashed"])
        assert "2 hidden" in text_of(app)
        await pilot.press(*"xyq")  # letters, not commands
        await until(pilot, lambda: names(app) == [])
        assert "no run has this" in text_of(app)
        await pilot.press("escape")
        await until(pilot, lambda: len(names(app)) == 3)
        await pilot.press("slash", *"co", "enter")
        await until(pilot, lambda: names(app) == ["cold"])
        await pilot.press("enter")
        await until(pilot, lambda: "30/30" in text_of(app, "header"))


async def test_sorting_goes_through_the_columns(root: Path) -> None:
    app = Cockpit(root, None)
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot)
        assert names(app) == ["crashed", "cold", "warm"]
        await pilot.press("s", "s")
        assert names(app) == ["cold", "crashed", "warm"] and "run ↑" in text_of(app)
        await pilot.press("S")
        assert names(app) == ["warm", "crashed", "cold"] and "run ↓" in text_of(app)


async def test_the_cursor_stays_on_its_run_when_the_order_changes(root: Path) -> None:
    app = Cockpit(root, None)
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot)
        await pilot.press("end")
        chosen = app.screen.query_one("#choices").row
        await pilot.press("s", "S", "s")
        assert app.screen.query_one("#choices").row == chosen


async def test_a_run_is_renamed(root: Path) -> None:
    app = Cockpit(root, None)
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot)
        await pilot.press("slash", *"warm", "enter", "n")
        await until(pilot, lambda: "Call warm" in text_of(app))
        await pilot.press("ctrl+u", *"cold")
        await until(pilot, lambda: "already a run called cold" in text_of(app))
        await pilot.press("enter")  # stays
        await pilot.press("ctrl+u", *"warmer", "enter")
        await until(pilot, lambda: "warm is called warmer now" in text_of(app))
        await until(pilot, lambda: names(app) == ["warmer"])
    assert runs.find(root, "warmer").id != "warmer"


async def test_deleting_asks_and_the_first_answer_keeps_it(root: Path) -> None:
    app = Cockpit(root, None)
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot)
        await pilot.press("slash", *"warm", "enter")
        for keys in (["x", "enter"], ["x", "escape"], ["delete", "x", "q"]):
            await pilot.press(keys[0])
            await until(pilot, lambda: "Delete warm?" in text_of(app))
            await pilot.press(*keys[1:])
            await until(pilot, lambda: "start a run" in text_of(app))
            assert len(runs.all_runs(root)) == 3
        await pilot.press("x")
        await until(pilot, lambda: "cannot be brought back" in text_of(app))
        await pilot.press("y")
        await until(pilot, lambda: "warm is deleted" in text_of(app))
        await pilot.press("escape")
        await until(pilot, lambda: names(app) == ["crashed", "cold"])
    assert [run.name for run in runs.all_runs(root)] == ["crashed", "cold"]


async def test_a_run_that_lives_is_not_deleted(root: Path) -> None:
    run = runs.create(root, "tiny", presets.resolve("tiny"), "live")
    fake = FakeSupervisor(run, Shape(steps=100), 1)
    await fake.start()
    fake.begin()
    fake.one_step()
    app = Cockpit(root, None)
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot)
        await pilot.press("slash", *"live", "enter", "x")
        await until(pilot, lambda: "live is not deleted: it is training" in text_of(app))
        assert "Delete live?" not in text_of(app)
    assert fake.run.journal.exists()
    await fake.close()


async def test_readonly_neither_renames_nor_deletes(root: Path) -> None:
    app = Cockpit(root, None, readonly=True)
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot)
        await pilot.press("end")
        for key, doing in (("x", "delete"), ("n", "rename")):
            await pilot.press(key)
            assert f"read only: opened with --readonly, so no {doing}" in text_of(app)
        await pilot.press("home", "x")
        assert "put the cursor on a run" in text_of(app)


async def test_a_filter_that_arrives_at_once_is_no_command(root: Path) -> None:
    """As over a slow line: x, n and q are letters of it."""
    app = Cockpit(root, None)
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot)
        await pilot.press("end")
        for key in ("slash", *"xnq"):
            app.simulate_key(key)
        await until(pilot, lambda: "/xnq" in text_of(app, "footer"))
        assert names(app) == []
