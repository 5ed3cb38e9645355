"""Where the time of a step goes."""

from __future__ import annotations

import time
from collections import defaultdict

import torch


class Stopwatch:
    """Splits time into named laps; on a GPU by events on its stream, so that nothing is waited
    for before the step is over."""

    def __init__(self, device: torch.device) -> None:
        self._cuda = device.type == "cuda"
        self._marks: list[tuple[str, float | torch.cuda.Event]] = []
        self.restart()

    def restart(self) -> None:
        """Begin a step."""
        self._marks = [("", self._now())]

    def lap(self, name: str) -> None:
        """What happened since the last mark was `name`."""
        self._marks.append((name, self._now()))

    def read(self) -> tuple[float, dict[str, float]]:
        """Seconds since the start in all, and by name."""
        if self._cuda:
            torch.cuda.synchronize()
        split: defaultdict[str, float] = defaultdict(float)
        for (_, before), (name, now) in zip(self._marks, self._marks[1:], strict=False):
            split[name] += _between(before, now)
        return _between(self._marks[0][1], self._marks[-1][1]), dict(split)

    def _now(self) -> float | torch.cuda.Event:
        if not self._cuda:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event


def _between(before: float | torch.cuda.Event, now: float | torch.cuda.Event) -> float:
    if isinstance(before, float) and isinstance(now, float):
        return now - before
    assert isinstance(before, torch.cuda.Event) and isinstance(now, torch.cuda.Event)
    return float(before.elapsed_time(now)) / 1000
