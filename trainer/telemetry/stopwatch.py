"""Where the time of a step goes."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import torch

WAITING = "offload"
"""The part of a split in which a rank stood still for state on disk."""
_Moment: TypeAlias = "float | torch.cuda.Event"


class _Mark(NamedTuple):
    name: str
    now: _Moment
    waited: float


class Stopwatch:
    """Splits time into named laps; on a GPU by events on its stream, so that nothing is waited
    for before the step is over. waited() counts seconds spent waiting for the disk, which are
    taken out of the laps they fell into and shown on their own."""

    def __init__(self, device: torch.device, waited: Callable[[], float] = lambda: 0.0) -> None:
        self._cuda = device.type == "cuda"
        self._waited = waited
        self._marks: list[_Mark] = []
        self.restart()

    def restart(self) -> None:
        """Begin a step."""
        self._marks = [self._mark("")]

    def lap(self, name: str) -> None:
        """What happened since the last mark was `name`."""
        self._marks.append(self._mark(name))

    def read(self) -> tuple[float, dict[str, float]]:
        """Seconds since the start in all, and by name."""
        if self._cuda:
            torch.cuda.synchronize()
        split: defaultdict[str, float] = defaultdict(float)
        for before, mark in zip(self._marks, self._marks[1:], strict=False):
            seconds = _between(before.now, mark.now)
            # A GPU may have worked on meanwhile: no lap has less than no time.
            waited = min(mark.waited - before.waited, seconds)
            split[mark.name] += seconds - waited
            if waited > 0:
                split[WAITING] += waited
        return _between(self._marks[0].now, self._marks[-1].now), dict(split)

    def _mark(self, name: str) -> _Mark:
        if not self._cuda:
            return _Mark(name, time.perf_counter(), self._waited())
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return _Mark(name, event, self._waited())


def _between(before: _Moment, now: _Moment) -> float:
    if isinstance(before, float) and isinstance(now, float):
        return now - before
    assert isinstance(before, torch.cuda.Event) and isinstance(now, torch.cuda.Event)
    return float(before.elapsed_time(now)) / 1000
