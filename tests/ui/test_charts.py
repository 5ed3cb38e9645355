"""Charts under keys and mouse, in the whole application."""

from pathlib import Path

import pytest
from make_journal import Shape, run_directory
from test_flows import open_run, text_of, until
from textual.pilot import Pilot

from cockpit import runs
from cockpit.app import Cockpit
from cockpit.widgets.chart import MetricChart
from cockpit.widgets.render_chart import GUTTER

SIZE = (120, 40)


@pytest.fixture
def app(tmp_path: Path) -> Cockpit:
    run_directory(tmp_path, Shape(steps=30), "other")
    run_directory(tmp_path, Shape(steps=120, crash=True, updates=True), "main")
    return open_run(runs.find(tmp_path, "main"))


def loss(app: Cockpit) -> MetricChart:
    return app.screen.query_one("#loss", MetricChart)


def axis(app: Cockpit) -> list[str]:
    """The labels under the plot."""
    lines = text_of(app, "loss").splitlines()
    return next(
        line for line in reversed(lines) if line.split()[:1] in (["step"], ["tok"], ["time"])
    ).split()


async def opened(pilot: Pilot[int]) -> None:
    await until(pilot, lambda: "120/120" in text_of(pilot.app, "header"))


async def test_a_chart_alone_has_the_keys_and_says_them(app: Cockpit) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot)
        assert app.focused is None
        await pilot.press("1")
        assert app.focused is loss(app)
        assert "crosshair" in text_of(app, "loss")
        await pilot.press("escape")
        assert app.focused is None
        assert "rank 1" in text_of(app, "memory")


async def test_zoom_and_pan_and_back_to_all(app: Cockpit) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot)
        await pilot.press("1")
        assert axis(app)[1:2] == ["0"]
        await pilot.press("up", "up")
        window = loss(app).view.window
        assert window is not None
        assert window[0] > 60
        await pilot.press("less_than_sign")
        assert loss(app).view.window[0] < window[0]
        await pilot.press("0")
        assert axis(app)[1:2] == ["0"]


async def test_the_crosshair_walks_over_the_points(app: Cockpit) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot)
        await pilot.press("1", "left")
        assert "step 120 ·" in text_of(app, "loss")
        await pilot.press("left")
        assert "step 119 ·" in text_of(app, "loss")
        await pilot.press("escape")
        assert "step 119" not in text_of(app, "loss")
        assert app.focused is loss(app)


async def test_the_x_axis_changes_and_keeps_the_part_in_view(app: Cockpit) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot)
        await pilot.press("1", "up", "up", "left")
        before = text_of(app, "loss").split("step ")[1].split(" ")[0]
        seen = []
        for _ in range(3):
            await pilot.press("x")
            seen.append(axis(app)[0])
            assert f"step {before} ·" in text_of(app, "loss")
        assert seen == ["tok", "time", "step"]


async def test_a_metric_is_found_by_some_of_its_letters(app: Cockpit) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot)
        await pilot.press("slash")
        await until(pilot, lambda: "what to draw" in text_of(app))
        await pilot.press(*"gradn")
        await pilot.press("enter")
        await until(pilot, lambda: "gradient norm ─" in text_of(app, "loss"))
        await pilot.press("slash", *"zzzz")
        await until(pilot, lambda: "nothing has these letters" in text_of(app))
        await pilot.press("enter")
        await until(pilot, lambda: "gradient norm ─" in text_of(app, "loss"))


async def test_brackets_go_through_all_metrics(app: Cockpit) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot)
        await pilot.press("1")
        seen = []
        for _ in range(40):
            seen.append(loss(app).metric.name)
            await pilot.press("right_square_bracket")
        assert {"loss", "lr", "split", "memory", "share", "aux_loss", "updates"} <= set(seen)
        assert "mfu" not in seen
        await pilot.press("left_square_bracket")
        assert loss(app).metric.name == seen[39]


async def test_another_run_is_laid_over_this_one_and_taken_away(app: Cockpit) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot)
        for expected in ("loss of 2 runs ─", "loss ─"):
            await pilot.press("o")
            await until(pilot, lambda: "compare with" in text_of(app))
            await pilot.press(*"oth", "enter")
            await until(pilot, lambda e=expected: e in text_of(app, "loss"))
            if "2 runs" in expected:
                await until(pilot, lambda: "b other" in text_of(app, "loss"))


async def test_the_mouse_points_zooms_and_drags(app: Cockpit) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot)
        chart = loss(app)
        await pilot.hover(chart, offset=(GUTTER + 30, 6))
        assert chart.view.cursor is not None
        assert f"step {chart.view.cursor:.0f} ·" in text_of(app, "loss")
        place = chart.view.cursor
        chart.action_zoom(2)
        window = chart.view.window
        assert window is not None
        assert window[0] < place < window[1]
        await pilot.mouse_down(chart, offset=(GUTTER + 30, 6))
        await pilot.hover(chart, offset=(GUTTER + 40, 6))
        await pilot.mouse_up(chart, offset=(GUTTER + 40, 6))
        assert chart.view.window[0] < window[0]
        await pilot.click(chart, offset=(GUTTER + 5, 3), times=2)
        assert chart.view.window is None
        assert app.focused is chart


async def test_enter_enlarges_the_chart_with_the_keys(app: Cockpit) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot)
        await pilot.press("tab")
        assert app.focused is loss(app)
        height = loss(app).grid.height
        await pilot.press("enter")
        await until(pilot, lambda: loss(app).grid.height > height)
        await pilot.press("enter")
        await until(pilot, lambda: loss(app).grid.height == height)


async def test_a_zoom_ends_where_a_few_steps_are_seen_on_every_axis(app: Cockpit) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot)
        await pilot.press("1")
        chart = loss(app)
        for _ in range(3):
            await pilot.press("x", *["up"] * 25)
            start, end = chart.view.span(*chart.reach())
            points = chart.points()
            assert 5 <= ((points >= start) & (points < end)).sum() <= 12
            await pilot.press("0")


@pytest.mark.parametrize("size", [(80, 24), (40, 10), (20, 5), (200, 60)])
async def test_every_key_at_every_size(tmp_path: Path, size: tuple[int, int]) -> None:
    run_directory(tmp_path, Shape(steps=20, gpus=2))
    app = open_run(runs.find(tmp_path, None))
    async with app.run_test(size=size) as pilot:
        await pilot.pause(0.2)
        await pilot.press("1")
        for key in (
            "left", "right", "shift+left", "up", "down", "less_than_sign", "l", "0", "end", "home",
            "x", "y", "e", "u", "right_square_bracket", "up", "up", "x", "left",
        ):  # fmt: skip
            await pilot.press(key)
        assert loss(app).grid.width == app.screen.query_one("#loss").size.width
