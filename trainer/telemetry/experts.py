"""Tokens per expert over windows of steps: exact, and one window late.

One all-reduce per window, on a process group of its own, that nobody waits for: its result is
picked up when the next window ends.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
import torch.distributed as dist

from trainer.contract.messages import Experts
from trainer.llama4.routing import RoutingCounter

APART = 1.0
"""Seconds between two messages at the least; windows in between are added up."""


@dataclass
class Window:
    """Counts [layers, experts] over `steps` steps that end with `step`."""

    step: int
    steps: int
    tokens: int
    counts_LE: torch.Tensor


class ExpertLoad:
    """All ranks call `add_step` after each step and `drain` at the same points; only rank 0 gets
    messages from it."""

    def __init__(self, counter: RoutingCounter, tokens_per_step: int, every: int) -> None:
        self.every = every
        self._counter = counter
        self._tokens_per_step = tokens_per_step
        self._group = dist.new_group() if dist.get_world_size() > 1 else None
        self._leads = dist.get_rank() == 0
        self._steps = 0
        self._pending: tuple[Window, dist.Work | None] | None = None
        self._unsent: Window | None = None
        self._sent_at = 0.0

    def add_step(self, step: int) -> Experts | None:
        """A step was done; the message that is due, if one is."""
        self._steps += 1
        if self._steps < self.every:
            return None
        self._finish()
        self._begin(step)
        return self._message() if time.monotonic() - self._sent_at >= APART else None

    def drain(self, step: int) -> Experts | None:
        """Everything up to a step, waited for: before a pause, and at the end."""
        self._finish()
        if self._steps:
            self._begin(step)
            self._finish()
        return self._message()

    def _begin(self, step: int) -> None:
        counts = self._counter.take()
        work = dist.all_reduce(counts, group=self._group, async_op=True) if self._group else None
        window = Window(step, self._steps, self._steps * self._tokens_per_step, counts)
        self._pending, self._steps = (window, work), 0

    def _finish(self) -> None:
        if self._pending is None:
            return
        window, work = self._pending
        self._pending = None
        if work is not None:
            work.wait()
        if self._leads:
            self._unsent = window if self._unsent is None else _sum(self._unsent, window)

    def _message(self) -> Experts | None:
        if (window := self._unsent) is None:
            return None
        self._unsent, self._sent_at = None, time.monotonic()
        return Experts(
            step=window.step,
            steps=window.steps,
            layers=self._counter.layers,
            counts=window.counts_LE.tolist(),
            tokens=window.tokens,
        )


def _sum(earlier: Window, later: Window) -> Window:
    return Window(
        step=later.step,
        steps=earlier.steps + later.steps,
        tokens=earlier.tokens + later.tokens,
        counts_LE=earlier.counts_LE + later.counts_LE,
    )
