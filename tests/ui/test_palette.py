"""The command palette has every action."""

from __future__ import annotations

from pathlib import Path

import pytest
from make_journal import Shape, run_directory
from test_flows import open_run, text_of, until
from textual.command import CommandPalette

from cockpit import runs
from cockpit.app import Cockpit
from cockpit.screens.actions import actions
from cockpit.screens.logs import Logs
from cockpit.widgets.chart import MetricChart
from cockpit.widgets.heatmap import ExpertHeatmap
from trainer.contract import messages


@pytest.fixture
def root(tmp_path: Path) -> Path:
    run_directory(tmp_path, Shape(steps=30), "warm")
    run_directory(tmp_path, Shape(steps=60), "cold")
    return tmp_path


def described(kind: type) -> set[str]:
    ours = [base for base in kind.__mro__ if base.__module__.startswith("cockpit.")]
    return {binding.description for base in ours for binding in base.__dict__.get("BINDINGS", ())}


async def test_every_described_key_of_a_run_and_its_panels_is_there(root: Path) -> None:
    app = open_run(runs.find(root, "cold"))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "60/60" in text_of(app, "header"))
        names = [action.name for action in actions(app.screen)]
        wanted = described(type(app.screen)) | described(Cockpit)
        wanted |= described(MetricChart) | described(ExpertHeatmap)
        assert wanted - {""} - set(names) == set()
        assert len(names) == len(set(names))
        assert not {"Focus Next", "Copy selected text", "palette"} & set(names)
        for name in ("Panel: experts alone, or all", "Chart: logarithmic or linear y axis"):
            assert name in names


async def test_an_action_of_a_panel_gives_it_the_keys(root: Path) -> None:
    app = open_run(runs.find(root, "cold"))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "60/60" in text_of(app, "header"))
        chart = app.screen.query_one("#loss", MetricChart)
        assert not chart.view.log
        await pilot.press("ctrl+p")
        await until(pilot, lambda: isinstance(app.screen, CommandPalette))
        await pilot.press(*"logarithmic")
        await pilot.pause(0.3)
        await pilot.press("enter")
        await until(pilot, lambda: chart.view.log)
        assert app.focused is chart


async def test_at_home_it_opens_any_run(root: Path) -> None:
    app = Cockpit(root, None)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "warm" in text_of(app))
        names = [action.name for action in actions(app.screen)]
        for name in ("Open warm", "Log of cold", "Start tiny-lora", "Delete the run (asks)"):
            assert name in names
        await pilot.press("ctrl+p")
        await until(pilot, lambda: isinstance(app.screen, CommandPalette))
        await pilot.press(*"open warm")
        await pilot.pause(0.3)
        await pilot.press("enter")
        await until(pilot, lambda: "30/30" in text_of(app, "header"))


async def test_marked_runs_are_laid_over_the_one_that_is_opened(root: Path) -> None:
    app = Cockpit(root, None)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "warm" in text_of(app))
        await pilot.press("slash", *"warm", "enter", "space")
        assert "1 marked" in text_of(app)
        await pilot.press("slash", "ctrl+u", *"cold", "enter", "enter")
        await until(pilot, lambda: "60/60" in text_of(app, "header"))
        await until(pilot, lambda: "warm" in text_of(app, "loss"))
        await pilot.press("d", "escape", "escape", "end", "enter")
        await until(pilot, lambda: "30/30" in text_of(app, "header"))
        await pilot.pause(0.6)
        assert "cold" not in text_of(app, "loss")


async def test_from_a_failure_in_the_log_to_its_step_in_the_chart(tmp_path: Path) -> None:
    path = run_directory(tmp_path, Shape(steps=1000, crash=True))
    (path / "trainer.log").write_text("--- attempt 1 --- then\n[rank 1] ValueError: no\n")
    app = open_run(runs.find(tmp_path, None))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "1,000/1,000" in text_of(app, "header"))
        await pilot.press("t")
        await until(pilot, lambda: bool(getattr(app.screen, "_moments", None)))
        await pilot.press("left_square_bracket")
        await until(pilot, lambda: "after step 668" in text_of(app, "footer"))
        await pilot.press("c")
        await until(pilot, lambda: not isinstance(app.screen, Logs))
        chart = app.screen.query_one("#loss", MetricChart)
        await until(pilot, lambda: chart.view.cursor == 668)
        assert app.focused is chart and chart.view.window == (608, 728)


async def test_from_an_alarm_to_its_log_lines(tmp_path: Path) -> None:
    path = run_directory(tmp_path, Shape(steps=60, until=50))
    run = runs.load(path)
    assert run is not None
    with run.journal.open("rb") as file:
        seq = sum(1 for _ in file)
    log = "".join(f"[rank 0] line {n}\n" for n in range(2000))
    run.log.write_text(log)
    at = log.index("[rank 0] line 77\n")
    entries = (
        messages.System(gpus=[], processes=[], log_size=at, seq=seq + 1, time=1e9),
        messages.Alarm(
            state="raised", rule="loss", layer=None, expert=None, value=None, step=49,
            severity="critical", since=1e9, seq=seq + 2, time=1e9,
        ),
    )  # fmt: skip
    with run.journal.open("ab") as file:
        file.writelines(map(messages.encode, entries))
    app = open_run(run, readonly=True)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "50/60" in text_of(app, "header"))
        await pilot.press("a")
        await until(pilot, lambda: "1 raised" in text_of(app, "alarms"))
        await pilot.press("t")
        await until(pilot, lambda: "1/1, after step 49" in text_of(app, "footer"))
        logs = app.screen
        assert isinstance(logs, Logs)
        assert logs._view.lines[logs._view.at].text == "line 77"


@pytest.mark.parametrize(
    ("keys", "first"),
    [
        (["question_mark"], "keys of the home screen"),
        (["end", "t", "question_mark"], "keys of the log"),
        (["home", "enter", "question_mark"], "keys of the values before a start"),
    ],
)
async def test_help_begins_with_what_one_looks_at(root: Path, keys: list[str], first: str) -> None:
    app = Cockpit(root, None)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "warm" in text_of(app))
        for key in keys:
            await pilot.press(key)
            await pilot.pause(0.2)
        await until(pilot, lambda: text_of(app).startswith(first))
