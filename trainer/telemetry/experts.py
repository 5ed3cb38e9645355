"""Tokens per expert over windows of steps, and every some windows how far each expert moved:
exact, and one window late.

One all-reduce per window, on a process group of its own, that nobody waits for: its result is
picked up when the next window ends.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import torch
import torch.distributed as dist

from trainer.contract.messages import Balance, Experts, Message
from trainer.llama4.balance import auxiliary_loss
from trainer.llama4.counting import RoutingCounter
from trainer.telemetry.updates import Movement, UpdateReport, UpdateWatch

APART = 1.0
"""Seconds between two messages at the least; windows in between are added up."""
WINDOWS = 10
"""Windows from one measure of the experts' movement to the next."""


@dataclass
class Window:
    """What the counter summed over `steps` steps that end with `step`."""

    step: int
    steps: int
    tokens: int
    sums_LX: torch.Tensor
    learning: bool = True
    measured: bool = False  # whether the squared changes of the experts follow in sums_LX


class ExpertLoad:
    """All ranks call `add_step` after each step and `drain` at the same points; only rank 0 gets
    messages from it."""

    def __init__(
        self,
        counter: RoutingCounter,
        tokens_per_step: int,
        every: int,
        watch: UpdateWatch | None = None,
        patience: int = 0,
    ) -> None:
        self.every = every
        self._counter = counter
        self._tokens_per_step = tokens_per_step
        self._group = dist.new_group() if dist.get_world_size() > 1 else None
        self._leads = dist.get_rank() == 0
        self._steps = 0
        self._pending: tuple[Window, dist.Work | None] | None = None
        self._unsent: Window | None = None
        self._sent_at = 0.0
        self._watch = watch if watch and watch.anything else None
        self._learning = False
        self._windows = 0
        self._moving: Movement | None = None
        self._moved: list[Movement] = []
        self._report = UpdateReport(self._watch, patience) if self._watch else None

    def add_step(self, step: int, learning: bool = True) -> list[Message]:
        """A step was done, learning if its rate was above zero; the messages that are due."""
        self._steps += 1
        self._learning |= learning
        if self._steps < self.every:
            return []
        self._finish()
        self._begin(step)
        due = time.monotonic() - self._sent_at >= APART
        return [*(self._messages() if due else []), *self._movements()]

    def drain(self, step: int) -> list[Message]:
        """Everything up to a step, waited for: before a pause, and at the end."""
        self._finish()
        if self._steps:
            self._begin(step)
            self._finish()
        return [*self._messages(), *self._movements()]

    def _begin(self, step: int) -> None:
        sums = self._counter.take()
        self._windows += 1
        measured = self._watch is not None and self._windows % WINDOWS == 0
        if self._watch is not None and measured:
            sums = torch.cat([sums, self._watch.squares(sums.device)], dim=1)
        work = dist.all_reduce(sums, group=self._group, async_op=True) if self._group else None
        tokens = self._steps * self._tokens_per_step
        window = Window(step, self._steps, tokens, sums, self._learning, measured)
        self._pending, self._steps, self._learning = (window, work), 0, False

    def _finish(self) -> None:
        if self._pending is None:
            return
        window, work = self._pending
        self._pending = None
        if work is not None:
            work.wait()
        if self._leads:
            window, squares_LX = self._apart(window)
            self._move(window, squares_LX)
            self._unsent = window if self._unsent is None else _sum(self._unsent, window)

    def _apart(self, window: Window) -> tuple[Window, torch.Tensor | None]:
        """A window without the squared changes, and these."""
        if not window.measured:
            return window, None
        experts = self._counter.experts
        sums, squares = window.sums_LX.split([2 * experts + 1, 2 * experts], dim=1)
        return replace(window, sums_LX=sums, measured=False), squares

    def _move(self, window: Window, squares_LX: torch.Tensor | None) -> None:
        """Add a window to what is between two measures."""
        if self._watch is None:
            return
        counts_LE = window.sums_LX[:, : self._counter.experts]
        steps, learning = window.steps, window.learning
        if (before := self._moving) is not None:
            counts_LE, steps = before.counts_LE + counts_LE, before.steps + steps
            learning |= before.learning
        self._moving = Movement(window.step, steps, learning, counts_LE)
        if squares_LX is not None:
            changes_LE, sizes_LE = squares_LX.chunk(2, dim=1)
            self._moved.append(replace(self._moving, squares_LE=changes_LE, sizes_LE=sizes_LE))
            self._moving = None

    def _movements(self) -> list[Message]:
        moved, self._moved = self._moved, []
        return [m for one in moved if self._report for m in self._report.messages(one)]

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
