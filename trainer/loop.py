"""The training of a run, on one rank: steps, and what happens at their boundaries."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from trainer.batches import Batches
from trainer.checkpoint.save import Position
from trainer.contract import layout, messages
from trainer.contract.config import Config
from trainer.contract.messages import AnyOrder, Message, PhaseName, Step
from trainer.control import Control, ack
from trainer.keeper import Keeper
from trainer.place import Place
from trainer.schedule import learning_rate
from trainer.setup import Parts, versions
from trainer.store import Store
from trainer.telemetry.experts import ExpertLoad
from trainer.telemetry.memory import MemoryGauge
from trainer.telemetry.report import Reporter
from trainer.telemetry.stopwatch import Stopwatch

KNOBS = "lr_scale, balance_coef, log_every"
MEMORY_APART = 1.0
"""Seconds between memory samples at the least."""


@dataclass
class Progress:
    """How far the run is, and the live knobs; what a checkpoint restores."""

    step: int = 0
    tokens: int = 0
    knobs: dict[str, float] = field(default_factory=lambda: {"lr_scale": 1.0})


class Loop:
    """Trains until all steps are done or a stop was ordered. Every rank runs the same loop and
    sees the same orders at the same boundaries."""

    def __init__(
        self,
        config: Config,
        run_dir: Path,
        place: Place,
        store: Store,
        parts: Parts,
        control: Control,
        reporter: Reporter,
    ) -> None:
        self.progress = Progress()
        self._config, self._place = config, place
        self._engine, self._counter, self._balance = parts.engine, parts.counter, parts.balance
        self._control, self._reporter = control, reporter
        self._batches = Batches(config, parts.data, place.rank, place.world, parts.engine.device)
        self._load = ExpertLoad(
            parts.counter,
            self._batches.tokens_per_step,
            config.log.every,
            parts.watch,
            config.adapter.untrained_after,
        )
        self._keeper = Keeper(
            run_dir / layout.CHECKPOINTS, config.checkpoint.keep, parts.engine, store, reporter
        )
        self._gauge = MemoryGauge(parts.engine, place.rank)
        self._sampled_at = 0.0
        self._stopped = False
        self._agreed: deque[AnyOrder] = deque()  # agreed on, not yet followed
        self._now: tuple[PhaseName, str] = "loading", ""

    @property
    def tokens_per_step(self) -> int:
        """Tokens of one step on all ranks."""
        return self._batches.tokens_per_step

    def acceptance(self, order: AnyOrder) -> messages.Ack:
        """The answer to an order as it comes; from any thread."""
        return ack(order, "accepted", self.progress.step)

    # --- the whole run ------------------------------------------------------------------

    def restore(self) -> Path | None:
        """Go on from the newest good checkpoint, if there is one; raises NoGoodCheckpoint."""
        found = self._keeper.restore()
        if found is None:
            return None
        path, manifest = found
        self.progress.step, self.progress.tokens = manifest.step, manifest.tokens
        self.progress.knobs |= manifest.knobs
        self._load.every = int(self.progress.knobs.get("log_every", self._load.every))
        self._balance.coef = self.progress.knobs.get("balance_coef", self._balance.coef)
        return path

    def run(self) -> None:
        """Train."""
        self._phase("training")
        self._control.post()  # what was ordered while the run was loading
        self._follow()
        while self.progress.step < self._config.train.steps and not self._stopped:
            self._step()
            self._follow()
            if not self._stopped and self._checkpoint_is_due():
                self._save()
                self._phase("training")
        if not self._stopped:
            self._finish()

    def _finish(self) -> None:
        """The last checkpoint. If it cannot be written the run waits rather than lose its end."""
        self._drain()
        while self._save() and not self._stopped:
            self._phase(
                "paused", "all steps are done, but the last checkpoint could not be written"
            )
            self._wait_while_paused()
        if not self._stopped:
            self._phase("done")

    def _checkpoint_is_due(self) -> bool:
        step, every = self.progress.step, self._config.checkpoint.every
        return bool(every) and step % every == 0 and step < self._config.train.steps

    # --- a step -------------------------------------------------------------------------

    def _step(self) -> None:
        step = self.progress.step + 1
        lr = learning_rate(self._config.train, step) * self.progress.knobs["lr_scale"]
        watch, losses = Stopwatch(self._engine.device, self._engine.waited), []
        for batch in self._batches.of(step):
            watch.lap("data")
            with self._counter.counting(), self._balance.collecting():
                loss = self._engine.forward(
                    batch.tokens, batch.labels, batch.predicted, batch.positions
                )
            extra = self._balance.loss()
            watch.lap("forward")
            self._engine.backward(loss if extra is None else loss + extra, batch.last)
            watch.lap("backward")
            losses.append(loss.detach())
        self._control.post()
        norm = self._engine.step(lr)
        self._balance.end_step()
        watch.lap("optimizer")
        share = sum(float(loss) for loss in losses)
        seconds, split = watch.read()
        self.progress.step = step
        self.progress.tokens += self._batches.tokens_per_step
        self._report(
            Step(
                step=step,
                loss=None,
                lr=lr,
                grad_norm=norm,
                tokens=self._batches.tokens_per_step,
                seconds=seconds,
                split=split,
            ),
            share,
        )

    def _report(self, step: Step, loss_share: float) -> None:
        self._reporter.step(step, loss_share)
        self._send(*self._load.add_step(step.step, step.lr > 0))
        now = time.monotonic()
        due = step.step % self._load.every == 0 and now - self._sampled_at >= MEMORY_APART
        if due or step.step == 1:
            self._sampled_at = now
            self._reporter.memory(self._gauge.sample(step.step))

    # --- orders -------------------------------------------------------------------------

    def _follow(self) -> None:
        """At a step boundary: what was agreed on, in order."""
        self._agreed.extend(self._control.agreed())
        while self._agreed and not self._stopped:
            match order := self._agreed.popleft():
                case messages.Pause():
                    self._pause(order)
                case messages.Resume():
                    self._refuse(order, "the run is not paused")
                case _:
                    self._follow_anywhere(order)

    def _follow_anywhere(self, order: AnyOrder) -> None:
        match order:
            case messages.SaveCheckpoint():
                before = self._now
                self._save(order)
                self._phase(*before)
            case messages.Stop():
                self._stop(order)
            case messages.Set():
                self._set(order)

    def _pause(self, order: messages.Pause) -> None:
        self._drain()
        self._done(order)
        self._phase("paused")
        self._wait_while_paused()
        if not self._stopped:
            self._phase("training")

    def _wait_while_paused(self) -> None:
        """Until a resume, or a stop."""
        while not self._stopped:
            if not self._agreed:  # what came together with the pause is first
                self._agreed.extend(self._control.wait())
                continue
            match order := self._agreed.popleft():
                case messages.Resume():
                    self._done(order)
                    return
                case messages.Pause():
                    self._done(order)
                case _:
                    self._follow_anywhere(order)

    def _stop(self, order: messages.Stop) -> None:
        before = self._now
        self._drain()
        self._phase("stopping", "writing a checkpoint" if order.checkpoint else "")
        if not order.checkpoint:
            self._done(order)
        elif self._save(order):
            # Better a run that goes on than steps that are lost.
            self._phase(*before)
            return
        self._stopped = True

    def _set(self, order: messages.Set) -> None:
        match order.key:
            case "lr_scale" if 0 <= order.value <= 100:
                self.progress.knobs["lr_scale"] = order.value
            case "log_every" if order.value >= 1 and order.value == int(order.value):
                self._load.every = int(order.value)
                self.progress.knobs["log_every"] = order.value
            case "balance_coef" if 0 <= order.value <= 1000:
                self._balance.coef = self.progress.knobs["balance_coef"] = order.value
            case "lr_scale" | "log_every" | "balance_coef":
                self._refuse(order, f"{order.key} cannot be {order.value}")
                return
            case _:
                self._refuse(order, f"no knob {order.key} (there are {KNOBS})")
                return
        self._done(order)

    # --- checkpoints --------------------------------------------------------------------

    def _save(self, order: AnyOrder | None = None) -> str | None:
        """Write a checkpoint, and answer an order; the reason if there is none now."""
        if not isinstance(order, messages.Stop):
            self._phase("checkpointing")
        problem = self._keeper.save(self._position())
        if order is not None and problem:
            self._refuse(order, problem)
        elif order is not None:
            self._done(order)
        return problem

    def _position(self) -> Position:
        return Position(
            step=self.progress.step,
            tokens=self.progress.tokens,
            data_cursor=self.progress.step * self._batches.sequences_per_step,
            knobs=self.progress.knobs,
            versions=versions(),
        )

    # --- telling ------------------------------------------------------------------------

    def _phase(self, phase: PhaseName, detail: str = "") -> None:
        self._now = phase, detail
        self._reporter.send(messages.Phase(phase=phase, step=self.progress.step, detail=detail))

    def _drain(self) -> None:
        self._send(*self._load.drain(self.progress.step))

    def _send(self, *messages: Message) -> None:
        for message in messages:
            self._reporter.send(message)

    def _done(self, order: AnyOrder) -> None:
        self._reporter.send(ack(order, "done", self.progress.step))

    def _refuse(self, order: AnyOrder, reason: str) -> None:
        self._reporter.send(ack(order, "refused", self.progress.step, reason))
