"""A run that goes on: what it costs to watch, and how soon one sees a step.

The cockpit watches a run of 10 steps a second in a terminal of 120 × 40, charts and heatmap
together; new expert counts, memory and system figures come once a second. Then the run is paused.
So it is with --low-bandwidth ("slow"). `wandb leet`, if it is there, watches a run of the same
losses, without a heatmap.

  bytes/s    what goes to the terminal
  CPU        of one core, all its processes together
  memory     resident at the end
  latency    from the end of a step until its number, or a later one, is on the screen
  paused     bytes/s while the run is paused

    python bench/live.py [--rounds 3] [--seconds 30] [--shapes 48x16 48x128]
                         [--wandb PYTHON_THAT_HAS_WANDB]
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1]))

from rival import leet, leet_live
from served import TRAINING, Served
from terminal import Terminal, p95, stop_on_signals

from cockpit import journal
from trainer.contract.messages import Step

RATE = 10.0
WARM_UP = 5.0
PAUSED = 10.0
_OURS = re.compile(r"step\s+([\d,]+)/")
_LEETS = re.compile(r"_step\s+(\d+)")
_LEETS_CLOCK = re.compile(r"clock\s+1\.(\d+)")

Sight = tuple[float, int]
"""Unix time, and the newest step that was on the screen then."""


@dataclass
class Result:
    """Of one round. Bytes and seconds; cpu is a share of one core; memory in MiB."""

    rate: float
    cpu: float
    memory: float
    latencies: list[float]
    paused: float


def watch(terminal: Terminal, seconds: float, number: re.Pattern[str]) -> list[Sight]:
    """Let it run, and note each time that another step is shown."""
    epoch = time.time() - terminal.now
    sights: list[Sight] = []

    def look(at: float) -> bool:
        if found := number.search(terminal.text()):
            step = int(found[1].replace(",", ""))
            if not sights or step != sights[-1][1]:
                sights.append((epoch + at, step))
        return False

    terminal.watch(seconds, look)
    return sights


def latencies(sights: Iterable[Sight], ended: dict[int, float]) -> list[float]:
    """For every step in between, seconds from its end to the sight of it or of a later one."""
    found, last = [], None
    for seen, step in sights:
        if last is not None:
            found += [seen - ended[n] for n in range(last + 1, step + 1)]
        last = step
    return found


def measured(
    terminal: Terminal, seconds: float, number: re.Pattern[str]
) -> tuple[Result, list[Sight]]:
    """What it costs for some seconds, after others."""
    terminal.watch(WARM_UP)
    sent, used = terminal.bytes, terminal.cpu
    sights = watch(terminal, seconds, number)
    rate, cpu = (terminal.bytes - sent) / seconds, (terminal.cpu - used) / seconds
    return Result(rate, cpu, terminal.resident / 2**20, [], 0.0), sights


def ours(shape: str, seconds: float, *options: str) -> Result:
    """One round of the cockpit."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Served(Path(folder), "--shape", shape, "--rate", str(RATE)) as served,
        served.cockpit(*options) as terminal,
    ):
        terminal.until(TRAINING)
        result, sights = measured(terminal, seconds, _OURS)
        terminal.press("p")
        terminal.until("paused")
        terminal.settle(1.0)
        sent = terminal.bytes
        terminal.watch(PAUSED)
        result.paused = (terminal.bytes - sent) / PAUSED
        steps = (e for e in journal.read(served.run / "journal.jsonl") if isinstance(e, Step))
        result.latencies = latencies(sights, {step.step: step.time for step in steps})
        return result


def theirs(python: str, seconds: float) -> Result:
    """One round of LEET. Its run's clock is on its screen, so the ends of steps are known."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "leet"
        feeder = leet_live(python, root, RATE)
        try:
            with Terminal(leet(python, root / "wandb")) as terminal:
                terminal.until(_LEETS.pattern)
                result, sights = measured(terminal, seconds, _LEETS)
                text = terminal.text()
        finally:
            feeder.kill()
            feeder.communicate()
    step, clock = _LEETS.search(text), _LEETS_CLOCK.search(text)
    assert step and clock
    digits = "1" + clock[1]
    end = int(digits) / 10 ** (len(digits) - 10)
    upto = int(step[1])
    result.latencies = latencies(sights, {n: end - (upto - n) / RATE for n in range(upto + 1)})
    return result


def show(name: str, results: list[Result]) -> None:
    """A line of medians."""
    rate, cpu, memory, paused = (
        median(getattr(r, key) for r in results) for key in ("rate", "cpu", "memory", "paused")
    )
    middle = median(median(r.latencies) for r in results)
    slow = median(p95(r.latencies) for r in results)
    print(
        f"{name:22} {rate:7,.0f}  {cpu:5.1%}  {memory:4.0f} MiB  {middle:5.2f} s  {slow:5.2f} s"
        f"  {paused:6.1f}"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--shapes", nargs="+", default=["48x16", "48x128"], help="layers x experts")
    parser.add_argument("--wandb", help="a Python that has wandb; without it LEET is left out")
    options = parser.parse_args()
    stop_on_signals()
    found: dict[str, list[Result]] = {}
    for _ in range(options.rounds):
        for shape in options.shapes:
            found.setdefault(f"cockpit {shape}", []).append(ours(shape, options.seconds))
            slow = ours(shape, options.seconds, "--low-bandwidth")
            found.setdefault(f"cockpit {shape}, slow", []).append(slow)
        if options.wandb:
            found.setdefault("wandb leet", []).append(theirs(options.wandb, options.seconds))
    print(f"median of {options.rounds:<12} bytes/s    CPU    memory  latency      p95  paused")
    for name, results in found.items():
        show(name, results)


if __name__ == "__main__":
    main()
