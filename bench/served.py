"""What the benches of a live run share: a run that is fed (feeder.py), and a cockpit on it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from terminal import Terminal

HERE = Path(__file__).parent
TRAINING = r"step\s+[\d,]+/"


class Served:
    """A feeder in a process of its own. Use with `with`."""

    def __init__(self, root: Path, *options: str) -> None:
        self._root = root
        self._feeder = subprocess.Popen(
            [sys.executable, str(HERE / "feeder.py"), str(root), *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.run = Path(self._line())

    def __enter__(self) -> Served:
        return self

    def __exit__(self, *_: object) -> None:
        self._feeder.kill()
        self._feeder.communicate()

    def _line(self) -> str:
        assert self._feeder.stdout is not None
        if not (line := self._feeder.stdout.readline()):
            raise SystemExit("the feeder has ended; see above")
        return line.strip()

    def flood(self, entries: int) -> None:
        """Have so many log entries journalled at once; returns before they are."""
        assert self._feeder.stdin is not None
        self._feeder.stdin.write(f"{entries}\n")
        self._feeder.stdin.flush()

    def flooded(self) -> float:
        """Wait for the end of a flood; seconds that it took."""
        return float(self._line().split()[-1])

    def cockpit(self, *options: str) -> Terminal:
        """A cockpit on the run, 120 × 40."""
        python_path = os.pathsep.join((str(HERE.parent), os.environ.get("PYTHONPATH", "")))
        attach = [
            sys.executable, "-m", "cockpit", "--runs-dir", str(self._root), "attach", "bench",
            *options,
        ]  # fmt: skip
        return Terminal(attach, PYTHONPATH=python_path)
