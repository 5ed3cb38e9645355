"""How soon an alarm is raised, how often for nothing, and what a window of counts costs.

    python bench/alarms.py [WINDOWS]

48 layers. Tokens are dealt out by a multinomial draw; medians of 9 runs; CPU time of this process.
"""

from __future__ import annotations

import statistics
import sys
import time

import numpy as np

from cockpit.alarms.imbalance import Imbalance
from trainer.contract.config import Config

LAYERS, MOST = 48, 2000
SHARES = ((0.0, -1, 2), (0.3, -1, 1), (0.7, -1, 0), (2.4, 1, 0), (4.0, 1, 1), (9.0, 1, 2))
LEVELS = ("note", "warning", "critical")


def check(direction: int, experts: int) -> Imbalance:
    """One side's check, for this many experts."""
    made = Imbalance(direction, Config())
    made.begin(list(range(LAYERS)), (LAYERS, experts))
    return made


def windows_until(experts: int, even: int, share: float, direction: int, level: int) -> list[int]:
    """Windows until one expert with this share has the alarm of its level, nine times."""
    found = []
    for seed in range(9):
        random = np.random.default_rng(seed)
        odds = np.full(experts, (experts - share) / (experts - 1))
        odds[3] = share
        made = check(direction, experts)
        counts = np.full((LAYERS, experts), float(even))
        for window in range(1, MOST + 1):  # noqa: B007 - the one that it stops at
            counts[0] = random.multinomial(even * experts, odds / odds.sum())
            made.add(counts, 0.0)
            if made.raised[level, 0, 3]:
                break
        found.append(window)
    return found


def false_alarms(experts: int, even: int, windows: int) -> tuple[int, float]:
    """Windows after which something was raised, and CPU milliseconds per window."""
    random = np.random.default_rng(0)
    checks = [check(direction, experts) for direction in (1, -1)]
    raised, spent = 0, 0.0
    for _ in range(windows):
        counts = random.poisson(even, (LAYERS, experts)).astype(np.float64)
        began = time.process_time()
        for made in checks:
            made.add(counts, 0.0)
        spent += time.process_time() - began
        raised += any(made.raised.any() for made in checks)
    return raised, 1e3 * spent / windows


def main() -> None:
    """Print both tables."""
    windows = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    print("experts  tokens/expert/window  windows until the alarm of a share")
    for experts, even in ((16, 64), (16, 1024), (128, 16), (128, 256)):
        parts = []
        for share, direction, level in SHARES:
            found = windows_until(experts, even, share, direction, level)
            parts.append(f"{share:g}x {LEVELS[level]} {statistics.median(found):g}")
        print(f"{experts:7}  {even:20}  {', '.join(parts)}")
    print("experts  tokens/expert/window  balanced windows  with an alarm  CPU ms/window")
    for experts, even in ((16, 64), (128, 64)):
        raised, cost = false_alarms(experts, even, windows)
        print(f"{experts:7}  {even:20}  {windows:16,}  {raised:13}  {cost:13.2f}")


if __name__ == "__main__":
    main()
