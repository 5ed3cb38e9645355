"""From a key to the screen that it asked for, whatever else comes in.

The cockpit watches a run of 10 steps a second in a terminal of 120 × 40. The key opens one panel
over the whole screen, or brings all of them back: nothing changes more of it. Loads:

  rest       the run is paused
  training   10 steps a second
  1,000/s    log messages besides
  10,000/s   log messages besides
  flood      100,000 log lines at once, from their beginning until the cockpit has settled

`wandb leet`, if it is there, shows and hides its help on a run that is over. Memory is what is
resident before and at most meanwhile.

    python bench/keys.py [--rounds 3] [--presses 40] [--shape 48x16] [--wandb PYTHON_THAT_HAS_WANDB]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1]))

from rival import leet, leet_run
from served import TRAINING, Served
from terminal import Terminal, p95, stop_on_signals

LOADS = {"rest": 0, "training": 0, "1,000/s": 1_000, "10,000/s": 10_000, "flood": 0}
FLOOD = 100_000
AFTER_FLOOD = 5.0
"""Seconds that keys are pressed on after the journal holds all of a flood."""
WARM_UP = 4.0
BETWEEN = 0.13
"""Seconds between two presses: no multiple of what the cockpit does at intervals."""


@dataclass
class Result:
    """Of one round: seconds a press, MiB."""

    presses: list[float]
    before: float
    peak: float


def press(terminal: Terminal, keys: tuple[str, str], without: str, presses: int) -> Iterable[float]:
    """Seconds of each press: the first key of a pair removes a text, the second brings it back."""
    for n in range(presses):
        terminal.watch(BETWEEN)
        if n % 2:
            yield terminal.answer_time(keys[1], lambda text: without in text)
        else:
            yield terminal.answer_time(keys[0], lambda text: without not in text)


def ours(name: str, shape: str, presses: int) -> Result:
    """One round of the cockpit under one of the loads."""
    options = ["--shape", shape, "--messages", str(LOADS[name])]
    with (
        tempfile.TemporaryDirectory() as folder,
        Served(Path(folder), *options) as served,
        served.cockpit() as terminal,
    ):
        terminal.until(TRAINING)
        terminal.watch(WARM_UP)
        if name == "rest":
            terminal.press("p")
            terminal.until("paused")
            terminal.settle(1.0)
        before = terminal.peak = terminal.resident
        if name == "flood":
            served.flood(FLOOD)
        found = list(press(terminal, ("1", "1"), "memory ─", presses))
        terminal.watch(AFTER_FLOOD if name == "flood" else 0.5)
        return Result(found, before / 2**20, terminal.peak / 2**20)


def theirs(python: str, presses: int) -> Result:
    """One round of LEET."""
    with tempfile.TemporaryDirectory() as folder:
        run = leet_run(python, Path(folder) / "leet", 1_000)
        with Terminal(leet(python, run)) as terminal:
            terminal.until("grad_norm")
            terminal.settle(2.0)
            before = terminal.resident
            found = list(press(terminal, ("h", "h"), "grad_norm", presses))
            return Result(found, before / 2**20, terminal.peak / 2**20)


def show(name: str, results: list[Result]) -> None:
    """A line of medians."""
    middle = median(median(r.presses) for r in results) * 1000
    slow = median(p95(r.presses) for r in results) * 1000
    before, peak = (median(getattr(r, key) for r in results) for key in ("before", "peak"))
    print(f"{name:20} {middle:5.1f} ms  {slow:5.1f} ms   {before:4.0f} MiB  {peak:4.0f} MiB")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--presses", type=int, default=40)
    parser.add_argument("--shape", default="48x16", help="layers x experts")
    parser.add_argument("--wandb", help="a Python that has wandb; without it LEET is left out")
    options = parser.parse_args()
    stop_on_signals()
    found: dict[str, list[Result]] = {}
    for _ in range(options.rounds):
        for name in LOADS:
            result = ours(name, options.shape, options.presses)
            found.setdefault(f"cockpit, {name}", []).append(result)
        if options.wandb:
            found.setdefault("wandb leet, rest", []).append(theirs(options.wandb, options.presses))
    print(f"median of {options.rounds:<10}      key       p95     before      most")
    for name, results in found.items():
        show(name, results)


if __name__ == "__main__":
    main()
