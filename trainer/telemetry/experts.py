"""Tokens per expert over windows of steps: exact, and one window late.

One all-reduce per window, on a process group of its own, that nobody waits for: its result is
picked up when the next window ends.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
import torch.distributed as dist

from trainer.contract.messages import Balance, Experts, Message
from trainer.llama4.balance import auxiliary_loss
from trainer.llama4.counting import RoutingCounter

APART = 1.0
"""Seconds between two messages at the least; windows in between are added up."""


@dataclass
class Window:
    """What the counter summed over `steps` steps that end with `step`."""

    step: int
    steps: int
    tokens: int
    sums_LX: torch.Tensor


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

    def add_step(self, step: int) -> list[Message]:
        """A step was done; the messages that are due."""
        self._steps += 1
        if self._steps < self.every:
            return []
        self._finish()
        self._begin(step)
        return self._messages() if time.monotonic() - self._sent_at >= APART else []

    def drain(self, step: int) -> list[Message]:
        """Everything up to a step, waited for: before a pause, and at the end."""
        self._finish()
        if self._steps:
            self._begin(step)
            self._finish()
        return self._messages()

    def _begin(self, step: int) -> None:
        sums = self._counter.take()
        work = dist.all_reduce(sums, group=self._group, async_op=True) if self._group else None
        window = Window(step, self._steps, self._steps * self._tokens_per_step, sums)
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

    def _messages(self) -> list[Message]:
        if (window := self._unsent) is None:
            return []
        self._unsent, self._sent_at = None, time.monotonic()
        # One copy off the device; the rest is done on the host.
        sums = self._counter.read(window.sums_LX.cpu())
        aux_L = auxiliary_loss(sums.counts_LE, sums.softmax_LE / window.tokens)
        z_L = sums.squares_L / window.tokens
        experts = Experts(
            step=window.step,
            steps=window.steps,
            layers=self._counter.layers,
            counts=sums.counts_LE.tolist(),
            tokens=window.tokens,
        )
        if not self._counter.layers:
            return [experts]
        balance = Balance(
            step=window.step,
            steps=window.steps,
            aux_loss=float(aux_L.mean()),
            z_loss=float(z_L.mean()),
        )
        return [experts, balance]


def _sum(earlier: Window, later: Window) -> Window:
    return Window(
        step=later.step,
        steps=earlier.steps + later.steps,
        tokens=earlier.tokens + later.tokens,
        sums_LX=earlier.sums_LX + later.sums_LX,
    )
