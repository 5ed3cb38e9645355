"""The expert heatmap under keys and mouse, on a run's journal."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import numpy as np
import pytest
from fake_supervisor import FakeSupervisor
from make_journal import Shape, run_directory
from textual.pilot import Pilot

from cockpit import runs
from cockpit.app import Cockpit
from cockpit.screens.experts import next_step
from cockpit.widgets.grid import Ink
from cockpit.widgets.heat_layout import GUTTER, HEAD
from cockpit.widgets.heatmap import ExpertHeatmap, Scrub
from trainer.contract import messages as m
from trainer.contract import presets


def heatmap(pilot: Pilot[int]) -> ExpertHeatmap:
    return pilot.app.screen.query_one("#experts", ExpertHeatmap)


def text(pilot: Pilot[int]) -> str:
    return "\n".join(heatmap(pilot).grid.lines())


async def until(pilot: Pilot[int], what: Callable[[], bool], seconds: float = 5.0) -> None:
    deadline = asyncio.get_running_loop().time() + seconds
    while not what():
        assert asyncio.get_running_loop().time() < deadline, text(pilot)
        await pilot.pause(0.02)


Opened = Callable[[Shape], Cockpit]


@pytest.fixture
def opened(tmp_path: Path) -> Opened:
    def opened(shape: Shape) -> Cockpit:
        run_directory(tmp_path, shape)
        return Cockpit(tmp_path, runs.find(tmp_path, None))

    return opened


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[FakeSupervisor]:
    run = runs.create(tmp_path, "tiny", presets.resolve("tiny"), "live")
    fake = FakeSupervisor(run, Shape(steps=1000, seconds=0.1), rate=10)
    await fake.start()
    fake.begin()
    for _ in range(20):
        fake.one_step()
    yield fake
    await fake.close()


async def test_arrows_move_a_pointer_that_says_what_is_there(opened: Opened) -> None:
    async with opened(Shape(steps=60)).run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "L3" in text(pilot))
        assert not (heatmap(pilot).grid.inks == Ink.POINTER).any()
        await pilot.press("2")
        await until(pilot, lambda: "L0 e0  " in text(pilot))
        await pilot.press("down", "right", "right")
        assert "L1 e2  " in text(pilot)
        assert "% of the layer's" in text(pilot)
        assert "● live" in text(pilot)
        await pilot.press("escape")
        await until(pilot, lambda: "● live" not in text(pilot))


async def test_n_goes_to_the_dead_one_and_enter_shows_its_layer_through_time(
    opened: Opened,
) -> None:
    async with opened(Shape(steps=60)).run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "✕" in text(pilot))
        await pilot.press("2", "n")
        assert "L0 e14  " in text(pilot)
        assert "no token in the last" in text(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: "layer 0: share of tokens" in text(pilot))
        await until(pilot, lambda: "✕✕✕✕" in text(pilot))
        rows = heatmap(pilot).grid.lines()
        assert "in effect" in rows[0]
        assert rows[1 + 3].count("█") > 3  # the distribution
        await pilot.press("escape")
        assert "layers ↓ experts →" in text(pilot)


async def test_scrubbing_goes_through_the_whole_run_and_back_to_live(opened: Opened) -> None:
    async with opened(Shape(steps=60)).run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "✕" in text(pilot))
        await pilot.press("2", "[")
        await until(pilot, lambda: "past: up to step 59" in text(pilot))
        await pilot.press("[", "[", "]")
        await until(pilot, lambda: "step 58 of 60" in text(pilot))
        await pilot.press("home")
        await until(pilot, lambda: "past: up to step 1" in text(pilot))
        assert "✕" not in "".join(heatmap(pilot).grid.lines()[HEAD : HEAD + 4])
        await pilot.press("[", "}")
        await until(pilot, lambda: "past: up to step 4" in text(pilot))
        await pilot.press("end")
        await until(pilot, lambda: "● live" in text(pilot))
        assert "✕" in text(pilot)


async def test_update_norms_show_who_does_not_learn(opened: Opened) -> None:
    shape = Shape(steps=30, updates=True)
    async with opened(shape).run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "L3" in text(pilot))
        await pilot.press("2", "u")
        assert "movement of weights" in text(pilot)
        assert "did not move" in text(pilot)
        await pilot.press("n")
        assert "L0 e2  Ø did not move although it got" in text(pilot)
        await pilot.press("[")
        await until(pilot, lambda: "past: up to step 29" in text(pilot))
        await pilot.press("enter")
        await until(pilot, lambda: "ØØØ" in text(pilot) or "✕✕✕" in text(pilot))
        await pilot.press("u")
        await until(pilot, lambda: "layer 0: share of tokens" in text(pilot))


async def test_a_run_without_update_norms_says_so(opened: Opened) -> None:
    async with opened(Shape(steps=30)).run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "L3" in text(pilot))
        await pilot.press("2", "u")
        assert "has not said how far its experts moved" in text(pilot)
        await pilot.press("enter", "n", "left", "u")
        await until(pilot, lambda: "share of tokens" in text(pilot))


async def test_the_mouse_points_opens_a_layer_and_goes_through_time(opened: Opened) -> None:
    async with opened(Shape(steps=60)).run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "L3" in text(pilot))
        await pilot.press("2")
        await until(pilot, lambda: "● live" in text(pilot))
        shown = heatmap(pilot)
        plan = shown.plan
        assert plan is not None
        place = GUTTER + 5 * plan.cell + 1, HEAD + 2
        await pilot.click("#experts", offset=place)
        assert "L2 e5  " in text(pilot)
        await pilot.click("#experts", offset=(10, shown.time_row))
        await until(pilot, lambda: "past: up to step" in text(pilot))
        await pilot.click("#experts", offset=place)
        await until(pilot, lambda: "layer 2: share of tokens" in text(pilot))
        await until(pilot, lambda: shown.history_end == 60)
        await pilot.click("#experts", offset=(GUTTER + 1, 4))
        await until(pilot, lambda: "step 1 of 60" in text(pilot) or "step 2 of 60" in text(pilot))
        assert "L2 e3  " in text(pilot)


@pytest.mark.parametrize("size", [(80, 24), (40, 10), (200, 60)])
async def test_a_map_too_large_is_folded_or_scrolled(opened: Opened, size: tuple[int, int]) -> None:
    async with opened(Shape(48, 128, steps=8)).run_test(size=size) as pilot:
        await pilot.pause(0.2)
        await pilot.press("2")
        await until(pilot, lambda: "L0" in text(pilot))
        if size[0] < 100:
            assert "most uneven of" in text(pilot)
        await pilot.press("z")
        assert heatmap(pilot).plan is not None
        assert "of 128" in text(pilot) or size[0] < 80
        for _ in range(140):
            heatmap(pilot).action_move(1, 1)
        assert "e127" in text(pilot)
        assert "L47" in text(pilot)
        for key in ("enter", "z", "[", "escape", "u", "z", "u"):
            await pilot.press(key)
            await pilot.pause(0.02)


async def test_an_alarm_marks_its_cell_until_it_is_over(live: FakeSupervisor) -> None:
    app = Cockpit(live.run.path.parent, live.run)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.dashboard is not None and app.dashboard.was_live)
        await pilot.press("2")
        alarm = {"rule": "cold", "layer": 2, "expert": 5, "value": 0.4, "step": 20}
        live.tell(m.Alarm(state="raised", **alarm))
        await until(pilot, lambda: "!" in heatmap(pilot).grid.text(HEAD + 2))
        await pilot.press("n")
        assert "L2 e5  ! cold, warning since " in text(pilot)
        live.tell(m.Alarm(state="cleared", **alarm))
        await until(pilot, lambda: "! cold" not in text(pilot))


async def test_a_layer_grows_with_the_run_and_the_past_stays_where_it_is(
    live: FakeSupervisor,
) -> None:
    app = Cockpit(live.run.path.parent, live.run)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.dashboard is not None and app.dashboard.was_live)
        await pilot.press("2", "enter", "[")
        await until(pilot, lambda: "step 19 of 20" in text(pilot))
        for _ in range(3):
            live.one_step()
        await until(pilot, lambda: "step 19 of 23" in text(pilot))
        await pilot.press("end")
        await until(pilot, lambda: "● live" in text(pilot))


def test_wishes_go_through_windows_and_end_in_what_is_live() -> None:

    steps = np.array([10, 20, 30, 40])
    assert next_step(steps, None, Scrub(by=-1)) == 30
    assert next_step(steps, 30, Scrub(by=-9)) == 10
    assert next_step(steps, 30, Scrub(by=1)) == 40
    assert next_step(steps, 40, Scrub(by=1)) is None
    assert next_step(steps, None, Scrub(by=1)) is None
    assert next_step(steps, 20, Scrub(part=1.0)) == 40
    assert next_step(steps, None, Scrub(part=0.0)) == 10
    assert next_step(steps, None, Scrub(step=21)) == 30
    assert next_step(steps, 10, Scrub(by_part=0.5)) == 30
    assert next_step(steps, 20, Scrub(live=True)) is None
    assert next_step(steps[:0], 20, Scrub(by=-1)) is None
