"""The cockpit in a real terminal: it can die, and be found again."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator

import psutil
import pytest

from tests.e2e.desk import SMALL, Desk, Run, assert_each_once


class Tmux:
    """A terminal of 120 × 40 with a program in it, on a tmux server of its own."""

    def __init__(self, desk: Desk, *words: str) -> None:
        self._socket = f"l4cockpit-test-{uuid.uuid4().hex[:8]}"
        command = shlex.join([sys.executable, "-m", "cockpit", *words])
        self._tmux("-f", "/dev/null", "new-session", "-d", "-x", "120", "-y", "40", command,
                   env=desk.environment)  # fmt: skip

    def _tmux(self, *words: str, env: dict[str, str] | None = None) -> str:
        done = subprocess.run(
            ["tmux", "-L", self._socket, *words],
            capture_output=True,
            text=True,
            env=env,
            timeout=20,
            check=False,
        )
        return done.stdout

    def screen(self) -> str:
        """What can be read."""
        return self._tmux("capture-pane", "-p")

    def press(self, *keys: str) -> None:
        """Type."""
        self._tmux("send-keys", *keys)

    def resize(self, width: int, height: int) -> None:
        """Another size."""
        self._tmux("resize-window", "-x", str(width), "-y", str(height))

    def program(self) -> psutil.Process:
        """What runs in it."""
        return psutil.Process(int(self._tmux("display-message", "-p", "#{pane_pid}")))

    def until(self, text: str, timeout: float = 60) -> float:
        """Wait until a text is on the screen; the seconds that it took."""
        started = time.monotonic()
        while text not in (screen := self.screen()):
            assert time.monotonic() - started < timeout, f"{text!r} did not come:\n{screen}"
            time.sleep(0.05)
        return time.monotonic() - started

    def settled(self, still: float = 1.5, timeout: float = 30) -> str:
        """The screen once it has not changed for so many seconds."""
        end = time.monotonic() + timeout
        shown, since = self.screen(), time.monotonic()
        while time.monotonic() - since < still:
            assert time.monotonic() < end, f"it does not settle:\n{shown}"
            time.sleep(0.1)
            if (screen := self.screen()) != shown:
                shown, since = screen, time.monotonic()
        return shown

    def close(self) -> None:
        """Close the terminal, as a lost connection does."""
        self._tmux("kill-server")


@pytest.fixture
def terminals(desk: Desk) -> Iterator[list[Tmux]]:
    opened: list[Tmux] = []
    yield opened
    for terminal in opened:
        terminal.close()


def test_it_is_left_in_every_way_and_found_again(desk: Desk, terminals: list[Tmux]) -> None:
    settings = [*SMALL, "train.steps=2000", "checkpoint.every=0"]
    words = [word for setting in settings for word in ("--set", setting)]
    first = Tmux(desk, "run", "tiny", *words)
    terminals.append(first)
    first.until("loading")
    first.until("training", 120)
    run = Run(desk, next(path.name for path in desk.runs.iterdir()))

    leave = (
        lambda terminal: terminal.close(),
        lambda terminal: terminal.program().send_signal(signal.SIGHUP),
        lambda terminal: terminal.program().kill(),
        lambda terminal: terminal.press("d"),
        lambda terminal: terminal.press("C-c"),
    )
    terminal = first
    for way in leave:
        program = terminal.program()
        way(terminal)
        psutil.wait_procs([program], timeout=10)
        assert not program.is_running() or program.status() == psutil.STATUS_ZOMBIE
        run.until_step(run.steps()[-1] + 5)
        terminal = Tmux(desk, "attach")
        terminals.append(terminal)
        terminal.until("training")
    assert_each_once(run.steps(), run.steps()[-1])

    terminal.press("p")
    terminal.until("paused after step")
    step = run.until_entry("phase", phase="paused")["step"]
    terminal.press("c")
    terminal.until(f"checkpoint done after step {step}")
    terminal.press("p")
    run.until_step(step + 2)
    terminal.press("s")
    terminal.until("write a checkpoint, then stop")
    terminal.press("s")
    terminal.until("stopped", 60)
    run.until_ended("stopped")


def test_a_terminal_that_nobody_reads_holds_nothing_up(desk: Desk, terminals: list[Tmux]) -> None:
    run = desk.start("tiny", *SMALL, "train.steps=2000", "checkpoint.every=0")
    run.until_step(3)
    terminal = Tmux(desk, "attach")
    terminals.append(terminal)
    terminal.until("training")
    os.kill(terminal.program().pid, signal.SIGSTOP)
    run.until_step(run.steps()[-1] + 20)
    os.kill(terminal.program().pid, signal.SIGCONT)
    run.type("stop", "--no-checkpoint", "--wait")
    terminal.until("stopped")
    run.until_ended("stopped")


def test_from_the_launch_to_a_comparison(desk: Desk, terminals: list[Tmux]) -> None:
    other = desk.train("tiny", *SMALL, "train.steps=12")
    terminal = Tmux(desk)
    terminals.append(terminal)
    terminal.until(other.name)

    terminal.press("g", "Enter")  # the first preset
    terminal.until("start tiny")
    terminal.press("PgUp", "mine")
    terminal.until("mine")
    for _ in range(30):
        if "Optimizer steps in all" in terminal.screen():
            break
        terminal.press("Down")
        time.sleep(0.2)
    terminal.press("C-u", "9")
    terminal.until("1 changed")
    terminal.press("Enter", "Enter")
    terminal.until("loading")
    terminal.until("run done after step 9", 240)

    terminal.press("o")
    terminal.until("compare")
    terminal.press("Enter")
    terminal.until(f"b {other.name}")

    terminal.press("2", "[", "[")
    terminal.until("past: up to step")
    terminal.press("End")
    terminal.until("zoom")
    terminal.press("2")
    terminal.until("events ─")

    before = terminal.settled()
    for width, height in ((80, 24), (40, 10), (200, 60), (120, 40)):
        terminal.resize(width, height)
        lines = terminal.settled().splitlines()
        assert len(lines) <= height and max(map(len, lines)) <= width
    assert terminal.settled() == before
