"""How long `l4cockpit attach` takes to show a run's whole history, against an empty Textual app.

Both start in a pseudo-terminal of 120 × 40, in turn; the time is from the start of the process to
the last step on the screen (of the empty app: to its only word). The run is one that is
over, read from its journal alone. Printed are medians and the ratio, pair by pair.

    python bench/attach.py [--steps 1000 10000] [--rounds 5]
"""

from __future__ import annotations

import argparse
import os
import pty
import re
import select
import signal
import struct
import sys
import tempfile
import termios
import time
from fcntl import ioctl
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.ui.make_journal import Shape, run_directory

EMPTY = """
from textual.app import App
from textual.widgets import Static
class Empty(App):
    def compose(self):
        yield Static("hello")
Empty().run()
"""
ESCAPES = re.compile(
    rb"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[PX^_].*?\x1b\\|.)", re.S
)
PATIENCE = 60.0


def seconds_until(command: list[str], text: str) -> float:
    """Start a command in a terminal; seconds until a text is in its output."""
    started = time.perf_counter()
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(TERM="xterm-256color", COLUMNS="120", LINES="40")
        os.execv(command[0], command)
    ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    output = b""
    try:
        while time.perf_counter() - started < PATIENCE:
            if select.select([terminal], [], [], 0.5)[0]:
                output += os.read(terminal, 65536)
                if text.encode() in ESCAPES.sub(b"", output):
                    return time.perf_counter() - started
        raise SystemExit(f"{command}: {text!r} did not come within {PATIENCE:g} s")
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, nargs="+", default=[1_000, 10_000])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for steps in options.steps:
            root = Path(folder) / str(steps)
            shape = Shape(
                steps=steps, until=steps, samples=max(1, steps // 5000), every=max(25, steps // 40)
            )
            journal = run_directory(root, shape, name="bench") / "journal.jsonl"
            attach = [sys.executable, "-m", "cockpit", "--runs-dir", str(root), "attach", "bench"]
            empty = [sys.executable, "-c", EMPTY]
            rounds = [
                (seconds_until(attach, f"{steps:,}/"), seconds_until(empty, "hello"))
                for _ in range(options.rounds + 1)
            ][1:]
            ours, theirs = zip(*rounds, strict=True)
            ratio = median(a / b for a, b in rounds)
            size = journal.stat().st_size / 1e6
            print(
                f"{steps:9,} steps, {size:6.1f} MB: {median(ours):.2f} s; "
                f"empty app {median(theirs):.2f} s; ratio {ratio:.1f}"
            )


if __name__ == "__main__":
    main()
