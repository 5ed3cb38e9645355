"""A real terminal: a replayed run in tmux, read from its screen."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from make_journal import Shape, run_directory

PROGRAM = """
import sys
from pathlib import Path
from cockpit import runs
from cockpit.app import run_app
root = Path(sys.argv[1])
sys.exit(run_app(root, runs.find(root, None)))
"""


class Tmux:
    """A tmux server of its own, so that nobody else's sessions are seen or ended."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket

    def __call__(self, *arguments: str) -> str:
        # Whoever runs the tests may have told them a size; the terminal has its own.
        environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")}
        done = subprocess.run(
            ["tmux", "-S", str(self.socket), "-f", "/dev/null", *arguments],
            capture_output=True, text=True, check=True, env=environment | {"LC_ALL": "C.UTF-8"},
        )  # fmt: skip
        return done.stdout

    def screen(self) -> str:
        # With what was scrolled out: that a pane is dead takes a line.
        return self("capture-pane", "-p", "-S", "-")

    def wait_for(self, text: str, seconds: float = 10.0) -> str:
        deadline = time.monotonic() + seconds
        while text not in (screen := self.screen()):
            assert time.monotonic() < deadline, screen
            time.sleep(0.05)
        return screen


@pytest.fixture
def tmux(tmp_path: Path) -> Iterator[Tmux]:
    if not shutil.which("tmux"):
        pytest.skip("tmux is not installed")
    run_directory(tmp_path / "runs", Shape(steps=120, crash=True))
    terminal = Tmux(tmp_path / "tmux")
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "runs")]
    terminal("new-session", "-d", "-x", "120", "-y", "40", *command)
    terminal("set-option", "remain-on-exit", "on")
    yield terminal
    terminal("kill-server")


def test_a_finished_run_in_a_real_terminal(tmux: Tmux) -> None:
    tmux.wait_for("run done after step 120")
    for part in ("✓ done", "120/120", "loss ─", "memory ─", "experts: share", "p pause"):
        tmux.wait_for(part)
    tmux("resize-window", "-x", "80", "-y", "24")
    tmux.wait_for("experts · layers")
    assert "120/120" in tmux.screen()
    tmux("send-keys", "?")
    tmux.wait_for("keys ─")
    tmux("send-keys", "Space")
    tmux.wait_for("no step is made until you continue")
    tmux("send-keys", "q")
    tmux.wait_for("loss ─")
    tmux("send-keys", "d")
    assert "run example is done after step 120" in tmux.wait_for("is done after step 120")
