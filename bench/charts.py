"""What a chart of a long run costs: from the newest step to the cells of the panel, and what a
zoom, a pan and the crosshair cost. No terminal; medians in milliseconds.

    python bench/charts.py [--points 1000000] [--rounds 50]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from cockpit import metrics
from cockpit.source import AXES, Source
from cockpit.widgets.chart_model import ChartModel, reach
from cockpit.widgets.chart_view import View
from cockpit.widgets.grid import Grid
from cockpit.widgets.render_chart import chart
from trainer.contract.messages import Step

WIDTH, HEIGHT = 120, 30


def steps(first: int, count: int) -> list[Step]:
    """A loss that falls, with noise."""
    numbers = np.arange(first, first + count)
    losses = 2 + 6 * (1 + numbers / 50) ** -0.5 + np.random.default_rng(0).normal(0, 0.1, count)
    return [
        Step(step=n, loss=loss, lr=1e-4, grad_norm=1.0, tokens=4096, seconds=0.1,
             split={"forward": 0.03, "backward": 0.06}, time=1e9 + n / 10)
        for n, loss in zip(numbers.tolist(), losses.tolist(), strict=True)
    ]  # fmt: skip


def timed(rounds: int, do: Callable[[int], object]) -> float:
    """Median milliseconds of do(round)."""
    found = []
    for n in range(rounds):
        started = time.perf_counter()
        do(n)
        found.append(time.perf_counter() - started)
    return 1000 * median(found)


def main() -> None:
    """Print a line for each thing that is done."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=50)
    options = parser.parse_args()
    points, rounds = options.points, options.rounds
    source = Source("run", "run", total=2 * points)
    for first in range(1, points + 1, 100_000):
        source.series.extend(steps(first, min(100_000, points + 1 - first)))

    for name in ("loss", "split"):
        model, metric = ChartModel(), metrics.find(name)

        def draw(view: View, model: ChartModel = model, metric: metrics.Metric = metric) -> Grid:
            shown = model.chart([source], metric, view, WIDTH, HEIGHT)
            assert shown is not None
            return chart(WIDTH, HEIGHT, shown)

        def grow(_: int, draw: Callable[[View], Grid] = draw) -> None:
            source.series.extend(steps(len(source.series) + 1, 5))
            draw(View())

        def zoom(n: int, draw: Callable[[View], Grid] = draw) -> None:
            newest, total = reach([source], "step")
            draw(View().zoomed(0.6 ** (1 + n % 15), newest / 2, newest, total))

        def pan(n: int, draw: Callable[[View], Grid] = draw) -> None:
            draw(View(window=(1000.0 * n, 1000.0 * n + points / 2)))

        def cross(n: int, draw: Callable[[View], Grid] = draw) -> None:
            draw(replace(View(), cursor=points / 2 + 1000.0 * n))

        draw(View())
        print(f"{name}, {points:,} points, {WIDTH}×{HEIGHT} cells")
        for what, do in (("5 new steps", grow), ("zoom", zoom), ("pan", pan), ("crosshair", cross)):
            print(f"  {what:12} {timed(rounds, do):6.2f} ms")
        print(f"  {'other axis':12} {timed(9, lambda n, d=draw: d(View(AXES[n % 3]))):6.2f} ms")


if __name__ == "__main__":
    main()
