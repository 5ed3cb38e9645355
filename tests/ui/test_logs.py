"""The screen of a run's log."""

from __future__ import annotations

from pathlib import Path

import pytest
from make_journal import Shape, run_directory
from test_flows import text_of, until
from textual.pilot import Pilot

from cockpit import journal, logbook, runs
from cockpit.app import Cockpit
from cockpit.runs import Run
from cockpit.screens.logs import Logs
from trainer.contract.messages import Failure

TRACEBACK = """\
[rank 1] Traceback (most recent call last):
[rank 1]   File "loop.py", line 3, in step
[rank 1] RuntimeError: killed by signal 9 (SIGKILL), by the kernel for want of memory or by hand
"""


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run of two attempts; the first ends in a failure after step 82."""
    path = run_directory(tmp_path, Shape(steps=120, crash=True))
    first = "".join(f"[rank {n % 2}] first {n:05}\n" for n in range(500))
    second = "".join(f"[rank {n % 2}] second {n:05}\n" for n in range(500))
    text = f"--- attempt 1 --- then\n{first}{TRACEBACK}--- attempt 2 --- later\n{second}"
    (path / "trainer.log").write_text(text)
    found = runs.load(path)
    assert found is not None
    return found


async def opened(pilot: Pilot[int], run: Run, **options: object) -> None:
    await pilot.app.push_screen(Logs(run, **options))  # type: ignore[arg-type]
    await until(pilot, lambda: "second 00499" in text_of(pilot.app, "log"))


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (20, 5)])
async def test_it_opens_at_the_end_and_follows(run: Run, size: tuple[int, int]) -> None:
    app = Cockpit(run.path.parent, None)
    async with app.run_test(size=size) as pilot:
        await opened(pilot, run)
        with run.log.open("a") as file:
            file.write("[rank 0] WARNING: newest\n")
        await until(pilot, lambda: "0 ! WARNING" in text_of(app, "log"))
        await pilot.press("up")
        with run.log.open("a") as file:
            file.write("[rank 0] later still\n" * 50)
        await pilot.pause(0.7)
        assert "later still" not in text_of(app, "log")
        await pilot.press("f")
        await until(pilot, lambda: "later still" in text_of(app, "log"))


async def test_filters_by_level_and_rank(run: Run) -> None:
    app = Cockpit(run.path.parent, None)
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot, run)
        await pilot.press("l")
        await until(pilot, lambda: "second" not in text_of(app, "log"))
        assert "Traceback" in text_of(app, "log") and "attempt 2" in text_of(app, "log")
        await pilot.press("r")
        await until(pilot, lambda: "Traceback" not in text_of(app, "log"))
        await pilot.press("r", "l", "l")
        await until(pilot, lambda: "second 00499" in text_of(app, "log"))
        assert "second 00498" not in text_of(app, "log")


async def test_search_finds_what_is_not_held(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    app = Cockpit(run.path.parent, None)
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot, run)
        logs = app.screen
        assert isinstance(logs, Logs)
        monkeypatch.setattr(logs._window, "_window", 4000)
        await logs.action_follow()
        assert not any("first" in line.text for line in logs._window.lines)
        await pilot.press("slash", *"FIRST 0001", "enter")
        await until(pilot, lambda: "first 00019" in text_of(app, "log"))
        await pilot.press("N")
        await until(pilot, lambda: logs._view.lines[logs._view.at].text == "first 00018")
        await pilot.press("n", "n")
        await until(pilot, lambda: "no FIRST 0001 further below" in text_of(app, "footer"))
        assert logs._view.lines[logs._view.at].text == "first 00019"
        await pilot.press("slash", *"q", "escape", "slash", *"second 00499", "enter")
        await until(pilot, lambda: logs._view.lines[logs._view.at].text == "second 00499")


async def test_a_failure_is_shown_and_leads_to_its_step(run: Run) -> None:
    app = Cockpit(run.path.parent, None)
    steps: list[int] = []
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot, run, show_step=steps.append)
        await pilot.press("c")
        assert "choose a failure" in text_of(app, "footer")
        await until(pilot, lambda: bool(app.screen._moments))  # type: ignore[attr-defined]
        await pilot.press("left_square_bracket")
        await until(pilot, lambda: "1/1, after step 82: rank 1: killed" in text_of(app, "footer"))
        logs = app.screen
        assert isinstance(logs, Logs)
        assert "Traceback" in logs._view.lines[logs._view.at].text
        await pilot.press("c")
        await until(pilot, lambda: not isinstance(app.screen, Logs))
    assert steps == [82]


async def test_it_can_be_opened_at_a_failure(run: Run) -> None:
    app = Cockpit(run.path.parent, None)
    async with app.run_test(size=(100, 30)) as pilot:
        (failure,) = (one for one in journal.read(run.journal) if isinstance(one, Failure))
        await app.push_screen(Logs(run, at=failure.time))
        await until(pilot, lambda: "1/1, after step 82" in text_of(app, "footer"))
        assert "Traceback" in text_of(app, "log")


async def test_a_run_without_a_log(run: Run) -> None:
    run.log.unlink()
    app = Cockpit(run.path.parent, None)
    async with app.run_test(size=(100, 30)) as pilot:
        await app.push_screen(Logs(run))
        await until(pilot, lambda: "nothing was printed yet" in text_of(app, "log"))
        await pilot.press("g", "up", "down", "pageup", "n", "l", "r", "f", "left_square_bracket")
        await pilot.press("slash", *"x", "enter")
        await pilot.pause(0.2)
        assert isinstance(app.screen, Logs)


async def test_a_flood_of_lines_holds_up_no_key(run: Run) -> None:
    app = Cockpit(run.path.parent, None)
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot, run)
        with run.log.open("a") as file:
            file.writelines(f"[rank 0] flood {n:06}\n" for n in range(100_000))
        await until(pilot, lambda: "flood 099999" in text_of(app, "log"))
        logs = app.screen
        assert isinstance(logs, Logs)
        assert len(logs._window.lines) <= logbook.MOST


async def test_the_log_opens_from_home_and_from_the_dashboard(run: Run) -> None:
    app = Cockpit(run.path.parent, None)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "example" in text_of(app))
        await pilot.press("end", "t")
        await until(pilot, lambda: "second 00499" in text_of(app, "log"))
        await pilot.press("q")
        await until(pilot, lambda: "start a run" in text_of(app))
        await pilot.press("enter")
        await until(pilot, lambda: "120/120" in text_of(app, "header"))
        await pilot.press("t")
        await until(pilot, lambda: "second 00499" in text_of(app, "log"))


async def test_a_search_that_arrives_at_once_is_no_command(run: Run) -> None:
    app = Cockpit(run.path.parent, None)
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot, run)
        for key in ("slash", *"first 00007", "enter"):
            app.simulate_key(key)
        await until(pilot, lambda: "first 00007" in text_of(app, "log"))
