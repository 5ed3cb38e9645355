"""What a user does, against a run with a real socket and no training."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from fake_supervisor import FakeSupervisor
from make_journal import Shape, run_directory
from textual.app import App
from textual.pilot import Pilot

from cockpit import runs
from cockpit.app import Cockpit
from cockpit.client import NoSupervisor
from cockpit.runs import Run
from cockpit.screens import dashboard, feed
from cockpit.screens.actions import actions
from cockpit.widgets.canvas import Canvas
from trainer.contract import messages as m
from trainer.contract import presets


def text_of(app: App[int], name: str = "") -> str:
    """What the panels of the front screen show."""
    panels = [p for p in app.screen.query(Canvas) if p.display and (not name or p.id == name)]
    return "\n".join(line for panel in panels for line in panel.grid.lines())


async def until(pilot: Pilot[int], what: Callable[[], bool], seconds: float = 5.0) -> None:
    deadline = asyncio.get_running_loop().time() + seconds
    while not what():
        assert asyncio.get_running_loop().time() < deadline, text_of(pilot.app)
        await pilot.pause(0.02)


@pytest.fixture
async def supervisor(tmp_path: Path) -> AsyncIterator[FakeSupervisor]:
    run = runs.create(tmp_path, "tiny", presets.resolve("tiny"), "live")
    fake = FakeSupervisor(run, Shape(steps=1000, seconds=0.1), rate=10)
    await fake.start()
    fake.begin()
    for _ in range(40):
        fake.one_step()
    yield fake
    await fake.close()


Opened = Callable[..., Awaitable[None]]


def open_run(run: Run, readonly: bool = False) -> Cockpit:
    return Cockpit(run.path.parent, run, readonly)


async def test_a_run_is_on_the_screen_and_grows(supervisor: FakeSupervisor) -> None:
    app = open_run(supervisor.run)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "step    40/1,000" in text_of(app, "header"))
        assert "▶ training" in text_of(app, "header")
        assert "rank 1" in text_of(app, "memory")
        assert "L3" in text_of(app, "experts")
        assert "attempt 1 launched" in text_of(app, "events")
        await until(pilot, lambda: app.dashboard is not None and app.dashboard.was_live)
        supervisor.one_step()
        await until(pilot, lambda: "step    41/1,000" in text_of(app, "header"), 1.0)


async def test_a_machine_that_stalls_at_any_moment_does_not_stop_the_drawing(
    supervisor: FakeSupervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A frame's time is in the past before it is asked for, as when the process was preempted."""
    app = open_run(supervisor.run)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.dashboard is not None and app.dashboard.was_live)
        stalls = itertools.count()
        stalling = SimpleNamespace(
            monotonic=lambda: time.monotonic() + 0.5 * next(stalls), time=time.time
        )
        monkeypatch.setattr(dashboard, "time", stalling)
        for step in range(41, 45):
            supervisor.one_step()
            await until(pilot, lambda: f"step    {step}/1,000" in text_of(app, "header"), 3.0)  # noqa: B023


async def test_pause_says_sent_at_once_then_accepted_then_done(supervisor: FakeSupervisor) -> None:
    app = open_run(supervisor.run)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.dashboard is not None and app.dashboard.was_live)
        app.dashboard.action_pause()
        assert "pause sent…" in text_of(app, "footer")
        await until(pilot, lambda: "pause accepted" in text_of(app, "footer"))
        supervisor.one_step()
        await until(pilot, lambda: "paused after step 41" in text_of(app, "footer"))
        await until(pilot, lambda: "‖ paused since" in text_of(app, "header"))
        await pilot.press("p")
        await until(pilot, lambda: "resumed after step 41" in text_of(app, "footer"))


async def test_a_refusal_is_shown_with_its_reason(supervisor: FakeSupervisor) -> None:
    app = open_run(supervisor.run)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.dashboard is not None and app.dashboard.was_live)
        await pilot.press("r")
        assert "nothing to resume: the run is training" in text_of(app, "footer")
        await pilot.press("c")
        supervisor.one_step()
        await until(pilot, lambda: "checkpoint done after step 41" in text_of(app, "footer"))


async def test_stop_asks_and_escape_cancels(supervisor: FakeSupervisor) -> None:
    app = open_run(supervisor.run)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: app.dashboard is not None and app.dashboard.was_live)
        await pilot.press("s")
        await until(pilot, lambda: "Stop live?" in text_of(app))
        await pilot.press("escape")
        await pilot.pause(0.1)
        assert supervisor.orders == []
        await pilot.press("s")
        await until(pilot, lambda: "Stop live?" in text_of(app))
        await pilot.press("x")
        await until(pilot, lambda: bool(supervisor.orders))
        assert supervisor.orders[0].checkpoint is False
        supervisor.one_step()
        await until(pilot, lambda: "■ stopped" in text_of(app, "header"))
        await pilot.press("p")
        assert "nothing runs, the run is stopped; r starts it again" in text_of(app, "footer")
        await pilot.press("r")
        await until(pilot, lambda: "▶ training" in text_of(app, "header"))


async def test_readonly_refuses_every_control(supervisor: FakeSupervisor) -> None:
    app = open_run(supervisor.run, readonly=True)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.dashboard is not None and app.dashboard.was_live)
        for key in "pcs":
            await pilot.press(key)
            assert "read only" in text_of(app, "footer")
        assert supervisor.orders == []
        assert "read only" in text_of(app, "header")


async def test_detaching_leaves_and_touches_nothing(supervisor: FakeSupervisor) -> None:
    app = open_run(supervisor.run)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.dashboard is not None and app.dashboard.was_live)
        await pilot.press("ctrl+c")
        await pilot.pause(0.1)
    assert app.return_code == 0
    assert supervisor.orders == []


async def test_what_broke_stays_on_the_header_until_steps_go_on(
    supervisor: FakeSupervisor,
) -> None:
    app = open_run(supervisor.run)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.dashboard is not None and app.dashboard.was_live)
        failure = m.Failure(
            kind="killed", rank=1, text="killed by signal 9", advice="starting again"
        )
        supervisor.tell(failure)
        wanted = "rank 1: killed by signal 9 — starting again"
        await until(pilot, lambda: wanted in text_of(app, "header"))
        supervisor.one_step()
        await until(pilot, lambda: wanted not in text_of(app, "header"))
        assert wanted in text_of(app, "events")


@pytest.mark.parametrize(
    "size", [(80, 24), (120, 40), (200, 60), (40, 10), (20, 5), (1, 1), (300, 20), (60, 80)]
)
async def test_every_size_draws_a_finished_run(tmp_path: Path, size: tuple[int, int]) -> None:
    run_directory(tmp_path, Shape(24, 128, gpus=8, ranks=8, steps=60, crash=True))
    app = open_run(runs.find(tmp_path, None))
    async with app.run_test(size=size) as pilot:
        await pilot.pause(0.3)
        assert app.screen.query_one("#header", Canvas).grid.width == size[0]
        if size[0] >= 80 and size[1] >= 24:
            text = text_of(app)
            for part in ("✓ done", "60/60", "loss", "experts", "memory", "run done after step 60"):
                assert part in text
        for key in "12345":
            await pilot.press(key)
            await pilot.pause(0.02)


async def test_resizing_redraws_for_the_new_size(tmp_path: Path) -> None:
    run_directory(tmp_path, Shape(steps=60))
    app = open_run(runs.find(tmp_path, None))
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause(0.2)
        assert "share of tokens" in text_of(app, "experts")
        await pilot.resize_terminal(80, 24)
        await pilot.pause(0.2)
        assert app.screen.query_one("#loss", Canvas).grid.width == 78
        await pilot.resize_terminal(200, 60)
        await pilot.pause(0.2)
        assert "gradient norm" in text_of(app, "gradient")


async def test_a_torn_and_foreign_journal_opens(tmp_path: Path) -> None:
    path = run_directory(tmp_path, Shape(steps=20))
    with (path / "journal.jsonl").open("ab") as file:
        file.write(b'\xff\xfe garbage\n{"type":"from-the-future","x":1}\n{"seq":99,"type":"st')
    app = open_run(runs.find(tmp_path, None))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "20/20" in text_of(app, "header"))


async def test_home_opens_a_run_and_comes_back(supervisor: FakeSupervisor) -> None:
    app = Cockpit(supervisor.run.path.parent, None)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "▶ training" in text_of(app))
        assert "random 4-layer Llama 4" in text_of(app)
        await pilot.press("end", "enter")
        await until(pilot, lambda: "40/1,000" in text_of(app, "header"))
        await pilot.press("d")
        await until(pilot, lambda: "start a run" in text_of(app))


async def test_help_explains_keys_and_states(supervisor: FakeSupervisor) -> None:
    app = open_run(supervisor.run)
    async with app.run_test(size=(120, 60)) as pilot:
        await pilot.press("question_mark")
        await until(pilot, lambda: "no step is made until you continue" in text_of(app))
        await pilot.press("q")
        await until(pilot, lambda: "loss ─" in text_of(app))


async def test_help_begins_with_the_panel_that_has_the_keys(supervisor: FakeSupervisor) -> None:
    app = open_run(supervisor.run)
    async with app.run_test(size=(120, 40)) as pilot:
        for panel, heading in (
            ("2", "keys of the experts"), ("1", "keys of a chart"), ("3", "memory (3)"),
        ):  # fmt: skip
            await pilot.press(panel, "question_mark")
            await until(pilot, lambda: bool(text_of(app, "page").strip()))
            assert text_of(app, "page").startswith(heading)
            await pilot.press("escape")


async def test_the_palette_offers_the_commands(supervisor: FakeSupervisor) -> None:
    app = open_run(supervisor.run)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.dashboard is not None and app.dashboard.was_live)
        names = [action.name for action in actions(app.screen)]
        assert "Pause or continue" in names
        assert "Detach: the run goes on" in names
        await pilot.press("ctrl+p")
        await pilot.pause(0.3)
        await pilot.press(*"pause", "enter")
        await until(pilot, lambda: "pause" in text_of(app, "footer") and bool(supervisor.orders))


async def test_a_lost_run_says_so_and_what_r_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(_run: Run) -> bool:
        raise NoSupervisor("no space left on device")

    monkeypatch.setattr(feed, "ensure_supervisor", refuse)
    run_directory(tmp_path, Shape(steps=100, until=30))
    run = runs.find(tmp_path, None)
    gone = FakeSupervisor(run, Shape(), 1)
    await gone.start()
    info = run.supervisor_file.read_bytes().replace(b'"identity":"', b'"identity":"gone-')
    await gone.close()
    run.supervisor_file.write_bytes(info)
    app = open_run(run)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "? lost" in text_of(app, "header"))
        assert "press r to go on" in text_of(app, "header")
