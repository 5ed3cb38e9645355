"""Keeps a run's checkpoints: saves, restores, prunes, and tells what it does."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Literal, TypeAlias

from trainer.checkpoint import folder as folders
from trainer.checkpoint.manifest import Manifest
from trainer.checkpoint.random_state import restore_random_state
from trainer.checkpoint.restore import newest_good
from trainer.checkpoint.save import CheckpointFailed, Position, save
from trainer.contract.messages import Checkpoint, Failure
from trainer.engines import Engine
from trainer.store import Store
from trainer.telemetry.report import Reporter

State: TypeAlias = Literal[
    "started", "saved", "verified", "failed", "rejected", "pruned", "restored"
]


class Keeper:
    """All ranks call the same methods in the same order; rank 0 tells."""

    def __init__(
        self, folder: Path, keep: int, engine: Engine, store: Store, reporter: Reporter
    ) -> None:
        self._folder, self._keep = folder, keep
        self._engine, self._store, self._reporter = engine, store, reporter
        self._saves = 0
        self._known: set[int] = set()  # steps whose checkpoints this attempt wrote or restored
        self._bad: set[Path] = set()

    def restore(self) -> tuple[Path, Manifest] | None:
        """Take up the newest good checkpoint, if there is one; raises NoGoodCheckpoint."""
        started = time.monotonic()
        found = newest_good(self._folder, self._store, self._reject)
        if found is None:
            return None
        path, manifest = found
        self._tell("verified", manifest.step, path, started, manifest.bytes)
        self._engine.load(path)
        restore_random_state(path, self._store.rank)
        self._known.add(manifest.step)
        self._tell("restored", manifest.step, path, started, manifest.bytes)
        return found

    def save(self, position: Position) -> str | None:
        """Write a checkpoint; the reason if there is none now, which training survives."""
        started, step = time.monotonic(), position.step
        target = folders.path(self._folder, step)
        self._saves += 1
        name, known = f"save/{self._saves}", step in self._known
        self._tell("started", step, target, started, 0)
        try:
            saved = save(self._folder, position, self._engine, self._store, name, known)
        except CheckpointFailed as error:
            self._tell("failed", step, target, started, 0, str(error))
            self._reporter.send(_failure(step, str(error)))
            return str(error)
        self._tell("saved", step, target, started, saved.bytes)
        self._known.add(step)
        self._bad.discard(target)
        self._prune(step)
        return None

    def _prune(self, newest: int) -> None:
        if self._store.rank == 0:
            started = time.monotonic()
            for step, path in folders.prune(self._folder, self._keep, newest, self._bad):
                self._tell("pruned", step, path, started, 0)

    def _reject(self, step: int, path: Path, reason: str) -> None:
        self._bad.add(path)
        self._tell("rejected", step, path, time.monotonic(), 0, reason)

    def _tell(
        self, state: State, step: int, path: Path, started: float, size: int, reason: str = ""
    ) -> None:
        seconds = time.monotonic() - started
        self._reporter.send(
            Checkpoint(
                step=step, state=state, path=str(path), seconds=seconds, bytes=size, reason=reason
            )
        )


def _failure(step: int, reason: str) -> Failure:
    return Failure(
        kind="checkpoint-failed",
        rank=None,
        text=f"No checkpoint of step {step}: {reason}.",
        advice="Training goes on and the older checkpoints are untouched. Free space, then ask "
        "for a checkpoint.",
    )
