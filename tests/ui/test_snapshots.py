"""The dashboard as it looked when somebody last said that it looks well.

The pictures are what a terminal gets; this shows one:

    clear; cat tests/ui/snapshots/dashboard-120x40.ansi

A change that is wanted is taken over with UPDATE_SNAPSHOTS=1, and looked at.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from make_journal import Shape, run_directory
from test_flows import open_run, text_of, until
from textual.drivers.headless_driver import HeadlessDriver

from cockpit import runs, terminal
from cockpit.app import Cockpit
from cockpit.widgets.frame import changed, sequence
from cockpit.widgets.palette import looks
from tests.unit.emulator import Emulator

FOLDER = Path(__file__).parent / "snapshots"


@pytest.fixture
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Clock times are those of one place."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("utc")
@pytest.mark.parametrize(
    ("width", "height", "layers", "experts", "gpus"),
    [(80, 24, 4, 16, 0), (120, 40, 48, 16, 4), (200, 60, 24, 128, 8)],
)
async def test_the_dashboard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    width: int, height: int, layers: int, experts: int, gpus: int,
) -> None:  # fmt: skip
    monkeypatch.setattr(Cockpit, "is_headless", False)
    monkeypatch.setattr(HeadlessDriver, "write", lambda *_: None)
    shape = Shape(layers, experts, gpus or 2, gpus, steps=120, crash=True)
    run_directory(tmp_path, shape, "example")
    app = open_run(runs.find(tmp_path, "example"))
    async with app.run_test(size=(width, height)) as pilot:
        await until(pilot, lambda: "120/120" in text_of(app, "header"))
        await pilot.pause(0.7)
        assert app.paper is not None
        frame = app.paper.frame
        picture = sequence(frame, changed(None, frame), looks(terminal.in_use()))
    file = FOLDER / f"dashboard-{width}x{height}.ansi"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        file.write_bytes(picture.encode())
    wanted, got = Emulator(width, height), Emulator(width, height)
    wanted.feed(file.read_bytes().decode())
    got.feed(picture)
    assert got.lines() == wanted.lines()
    assert got.seen() == wanted.seen()
