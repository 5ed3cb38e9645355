"""Notices what torchrun does not tell: ranks that vanish, a stop that is not followed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from cockpit import processes, runs
from cockpit.supervisor.history import History
from cockpit.supervisor.process import Trainer
from trainer.contract import messages

TORCHRUN_MAY_TAKE = 5.0
"""Seconds for torchrun to end the other ranks when one has died."""
WINDING_UP_MAY_TAKE = 30.0
"""The same when the ranks are ending anyway, one before the other."""
_SURE = 0.15
_WINDING_UP = ("stopping", "done")
_WORTH_WAITING = ("evaluating", "checkpointing", *_WINDING_UP)


@dataclass(frozen=True)
class Verdict:
    """Why everything must be ended now."""

    kind: Literal["nothing-to-save", "overdue", "signalled", "rank-gone"]
    text: str


class Watchdog:
    """Watches one attempt. verdict, once set, says that the processes must be ended."""

    def __init__(self, history: History, grace: float) -> None:
        self._history = history
        self._grace = grace
        self._stop_due: float | None = None
        self._identities: dict[int, str | None] = {}
        self._gone_since: dict[int, float] = {}
        self.verdict: Verdict | None = None

    def expect_stop(self) -> None:
        """A stop was ordered: the trainer has the grace period to follow it."""
        self._stop_due = self._stop_due or time.monotonic() + self._grace

    def end_now(self, text: str) -> None:
        """No more waiting."""
        self.verdict = Verdict("signalled", text)

    def look(self, trainer: Trainer, record: Callable[[messages.Log], None]) -> None:
        """Take a look; several times a second."""
        if self.verdict is not None:
            return
        self._look_at_stop()
        self._look_at_ranks(trainer, record)

    def _look_at_stop(self) -> None:
        history = self._history
        if history.stop is None:
            self._stop_due = None  # refused: another has the whole grace again
            return
        if not history.stepped and history.phase not in _WORTH_WAITING:
            self.verdict = Verdict("nothing-to-save", "stopped before a step, nothing to save")
        elif self._stop_due is not None and time.monotonic() > self._stop_due:
            text = f"the trainer did not stop within {self._grace:g} s and was killed"
            self.verdict = Verdict("overdue", text)

    def _look_at_ranks(self, trainer: Trainer, record: Callable[[messages.Log], None]) -> None:
        now, winding_up = time.monotonic(), self._history.phase in _WINDING_UP
        patience = WINDING_UP_MAY_TAKE if winding_up else TORCHRUN_MAY_TAKE
        for rank in self._history.ranks:
            if rank.host != runs.this_host() or self._alive(rank):
                continue
            since = self._gone_since.setdefault(rank.rank, now)
            if now - since > patience:
                self.verdict = Verdict("rank-gone", f"rank {rank.rank} died and the others hung")
            known = rank.rank in self._history.gone
            if known or winding_up or now - since < _SURE or trainer.ended:
                continue
            self._history.gone.append(rank.rank)
            text = f"rank {rank.rank} (pid {rank.pid}) is gone; torchrun ends the others"
            record(messages.Log(level="error", text=text, rank=rank.rank))

    def _alive(self, rank: messages.Rank) -> bool:
        if rank.pid not in self._identities:
            self._identities[rank.pid] = processes.identity(rank.pid)
        identity = self._identities[rank.pid]
        return identity is not None and processes.lives(rank.pid, identity)
