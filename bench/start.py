"""From the command to the picture: how long `l4cockpit attach` takes to show a run that is over.

Each contestant starts in a pseudo-terminal of 120 × 40, all in turn in every round: an empty
Textual app; the cockpit on a run of 10³ steps, of 10⁶, and of 10⁶ without the index that a
supervisor keeps; `wandb leet`, if it is there, on runs of the same losses. Printed are medians:

  first      the first character on the screen
  newest     the newest step is on the screen (of the empty app: its only word; of LEET: its chart)
  all        the last output before two seconds of silence: all of the history is drawn
  memory     the most that was resident at a time, all its processes together

    python bench/start.py [--rounds 5] [--steps 1000 1000000] [--wandb PYTHON_THAT_HAS_WANDB]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1]))

from rival import leet, leet_run
from terminal import Terminal, stop_on_signals

from cockpit.index.build import build
from tests.ui.make_journal import Shape, run_directory

EMPTY = """
from textual.app import App
from textual.widgets import Static
class Empty(App):
    def compose(self):
        yield Static("hello")
Empty().run()
"""
QUIET = 2.0
LONG = 100_000
"""Steps of a run that has an index."""


@dataclass
class Contestant:
    """What is started, and the text that shows the newest step."""

    name: str
    command: list[str]
    newest: str
    without_index: Path | None = None


@dataclass
class Result:
    """Seconds, and MiB."""

    first: float
    newest: float
    all: float
    memory: float


def measure(one: Contestant) -> Result:
    """One start."""
    if one.without_index:
        one.without_index.unlink(missing_ok=True)
    with Terminal(one.command) as terminal:
        first = terminal.until(r"\S")
        newest = terminal.until(one.newest, 200)
        every = terminal.settle(QUIET)
        return Result(first, newest, every, terminal.peak / 2**20)


def contestants(folder: Path, steps: list[int], wandb: str | None) -> list[Contestant]:
    """The runs, made now."""
    found = [Contestant("empty Textual app", [sys.executable, "-c", EMPTY], "hello")]
    for count in steps:
        found += cockpits(folder, count)
        if wandb:
            log = leet_run(wandb, folder / f"leet-{count}", count)
            found.append(Contestant(f"wandb leet, {count:,} steps", leet(wandb, log), "loss"))
    return found


def cockpits(folder: Path, steps: int) -> list[Contestant]:
    """The cockpit on a run of so many steps; a long one with its index, and without."""
    shape = Shape(
        steps=steps, samples=max(1, steps // 100_000), every=max(25, steps // 1000), crash=True
    )
    path = run_directory(folder / str(steps), shape, name="bench")
    journal, last = path / "journal.jsonl", f"{steps:,}/{steps:,}"
    name = f"{steps:,} steps, {journal.stat().st_size / 1e6:,.0f} MB"
    found = [Contestant(name, attach(path.parent), last)]
    if steps >= LONG:
        build(journal, path / "journal.index")
        bare = folder / f"{steps}-bare" / path.name
        bare.mkdir(parents=True)
        for file in ("run.yaml", journal.name):
            (bare / file).hardlink_to(path / file)
        index = bare / "journal.index"
        found.append(Contestant(f"{name}, no index", attach(bare.parent), last, index))
    return found


def attach(root: Path) -> list[str]:
    """The command that shows the run in a runs directory."""
    return [sys.executable, "-m", "cockpit", "--runs-dir", str(root), "attach", "bench"]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, nargs="+", default=[1_000, 1_000_000])
    parser.add_argument("--wandb", help="a Python that has wandb; without it LEET is left out")
    options = parser.parse_args()
    stop_on_signals()
    if not options.wandb:
        print("wandb is absent (see --wandb): measured without LEET")
    with tempfile.TemporaryDirectory() as folder:
        rivals = contestants(Path(folder), options.steps, options.wandb)
        rounds = [[measure(one) for one in rivals] for _ in range(options.rounds + 1)][1:]
    print(f"{'median of ' + str(options.rounds):40} first  newest     all  memory   first/empty")
    for number, one in enumerate(rivals):
        results = [results[number] for results in rounds]
        figures = [median(getattr(r, k) for r in results) for k in ("first", "newest", "all")]
        memory = median(r.memory for r in results)
        ratio = median(r[number].first / r[0].first for r in rounds)
        print(
            f"{one.name:40} {figures[0]:5.2f}   {figures[1]:5.2f}  {figures[2]:6.2f}"
            f"   {memory:4.0f} MiB  {ratio:5.2f}"
        )


if __name__ == "__main__":
    main()
