"""Starting a preset from the home screen."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from test_flows import text_of, until

from cockpit import runs
from cockpit.app import Cockpit
from cockpit.client import NoSupervisor
from cockpit.runs import Run
from cockpit.screens import feed, home, starting


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    """The runs that were started; nothing really is."""
    found: list[Run] = []

    async def start(run: Run) -> None:
        found.append(run)

    async def none_wanted(_run: Run) -> bool:
        return False

    monkeypatch.setattr(starting, "start_supervisor", start)
    monkeypatch.setattr(feed, "ensure_supervisor", none_wanted)
    return found


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (40, 10)])
async def test_two_enters_start_a_preset_as_it_is(
    tmp_path: Path, started: list[Run], size: tuple[int, int]
) -> None:
    app = Cockpit(tmp_path, None)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: "tiny-lora" in text_of(app))
        await pilot.press("enter")
        await until(pilot, lambda: "start tiny" in text_of(app, "form"))
        assert "› start" in text_of(app, "form")
        assert "checkpoint.keep" in text_of(app) or size[1] < 20
        await pilot.press("enter")
        await until(pilot, lambda: bool(started))
    assert started[0].preset == "tiny" and started[0].name == started[0].id


async def test_values_are_checked_as_they_are_typed(tmp_path: Path, started: list[Run]) -> None:
    app = Cockpit(tmp_path, None)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "none yet" in text_of(app))
        await pilot.press("enter")
        await until(pilot, lambda: "start tiny" in text_of(app, "form"))
        await pilot.press("pageup", *"my run")
        await until(pilot, lambda: "cannot be called 'my run'" in text_of(app))
        await pilot.press("enter")  # stays where it is wrong
        await pilot.press("ctrl+u", *"quick", "down", "down", "down", "down", "down")
        await until(pilot, lambda: "Optimizer steps in all" in text_of(app))
        await pilot.press("ctrl+u", "0")
        await until(pilot, lambda: "train.steps must be positive, not 0" in text_of(app))
        await pilot.press("backspace", *"30", "enter")
        await until(pilot, lambda: "› start" in text_of(app) and "1 changed" in text_of(app))
        assert not started
        await pilot.press("enter")
        await until(pilot, lambda: bool(started))
    assert started[0].name == "quick" and started[0].config().train.steps == 30


async def test_choices_are_turned_and_put_back(tmp_path: Path, started: list[Run]) -> None:
    app = Cockpit(tmp_path, None)
    async with app.run_test(size=(100, 40)) as pilot:
        await until(pilot, lambda: "none yet" in text_of(app))
        await pilot.press("enter")
        await until(pilot, lambda: "start tiny" in text_of(app, "form"))
        for _ in range(30):
            if "none, cpu, nvme" in text_of(app):
                break
            await pilot.press("up")
        await pilot.press("right", "right")
        await until(pilot, lambda: "was cpu" in text_of(app))
        await pilot.press("ctrl+r")
        await until(pilot, lambda: "was cpu" not in text_of(app))
        await pilot.press("escape")
        await until(pilot, lambda: "none yet" in text_of(app))
    assert not started and runs.all_runs(tmp_path) == []


async def test_a_start_that_fails_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(_run: Run) -> None:
        raise NoSupervisor("no space left on device")

    monkeypatch.setattr(starting, "start_supervisor", refuse)
    app = Cockpit(tmp_path, None)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "none yet" in text_of(app))
        await pilot.press("enter")
        await until(pilot, lambda: "start tiny" in text_of(app, "form"))
        await pilot.press("enter")
        await until(pilot, lambda: "tiny was not started: no space left" in text_of(app))


async def test_readonly_starts_nothing(tmp_path: Path) -> None:
    app = Cockpit(tmp_path, None, readonly=True)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "none yet" in text_of(app))
        await pilot.press("enter")
        assert "read only" in text_of(app)


async def test_keys_that_arrive_together_are_taken_in_order(
    tmp_path: Path, started: list[Run]
) -> None:
    """As over a slow line: a value gets what was typed for it."""
    app = Cockpit(tmp_path, None)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "none yet" in text_of(app))
        await pilot.press("enter")
        await until(pilot, lambda: "start tiny" in text_of(app, "form"))
        for key in ("pageup", *"quick", "enter", "enter"):
            app.simulate_key(key)
        await until(pilot, lambda: bool(started))
    assert started[0].name == "quick"


async def test_a_preset_can_be_chosen_before_the_runs_are_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = threading.Event()
    monkeypatch.setattr(home.RunList, "rows", lambda *_: known.wait(5) and [])
    app = Cockpit(tmp_path, None)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "looking…" in text_of(app))
        await pilot.press("down", "enter")
        await until(pilot, lambda: "start tiny-lora" in text_of(app, "form"))
        await pilot.press("escape")
        known.set()
        await until(pilot, lambda: "none yet" in text_of(app))
