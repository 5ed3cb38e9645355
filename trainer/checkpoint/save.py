"""Writing a checkpoint, by all ranks together.

Every rank writes its part; then each flushes and digests its share of the files; then rank 0
writes the manifest and renames. Ranks talk through the store, by polling, so a slow disk times
nothing out, and a rank that cannot write says so to all: either all ranks return, or all raise.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from trainer.checkpoint import folder as folders
from trainer.checkpoint import manifest as manifests
from trainer.checkpoint.manifest import BadCheckpoint, File, Manifest
from trainer.checkpoint.random_state import save_random_state
from trainer.engines import Engine
from trainer.store import Store


class CheckpointFailed(Exception):
    """No checkpoint was written; what was there before is untouched. Raised on all ranks."""


class Saved(msgspec.Struct):
    """A checkpoint on disk, and its bytes."""

    path: str
    bytes: int


@dataclass(frozen=True)
class Position:
    """How far training is. data_cursor counts sequences; knobs are the live settings in force."""

    step: int
    tokens: int
    data_cursor: int
    knobs: dict[str, float]
    versions: dict[str, str]


class _Start(msgspec.Struct):
    """What rank 0 found: a good checkpoint of this step already, or why there can be none."""

    there: Saved | None = None
    problem: str | None = None


class _Outcome(msgspec.Struct):
    """One rank's part of a stage."""

    problem: str | None
    files: dict[str, File] = {}


def save(
    folder: Path, position: Position, engine: Engine, store: Store, name: str, known: bool = False
) -> Saved:
    """Write the checkpoint of a position below the folder of checkpoints; raises
    CheckpointFailed. name is the same on all ranks and new for each call. known tells that this
    attempt wrote or restored the checkpoint of this step, which then is left as it is; one that
    is merely there may have been passed over as damaged, and is replaced."""
    mine = msgspec.json.encode(_start(folder, position, known)) if store.rank == 0 else None
    start = msgspec.json.decode(store.share(f"{name}/start", mine), type=_Start)
    if start.problem:
        raise CheckpointFailed(start.problem)
    if start.there:
        return start.there
    writing = folders.writing(folder, position.step)
    stage = _Stages(store, name, writing)
    stage("write", lambda: _write(writing, engine, store.rank))
    files = stage("digest", lambda: _digest(writing, store.rank, store.world))
    stage("publish", lambda: _publish(writing, position, files, store))
    path = folders.path(folder, position.step)
    return Saved(str(path), sum(file.size for file in files.values()))


class _Stages:
    """Runs a part on every rank; if any failed, rank 0 tidies up and all raise."""

    def __init__(self, store: Store, name: str, writing: Path) -> None:
        self._store, self._name, self._writing = store, name, writing

    def __call__(self, stage: str, part: Callable[[], dict[str, File] | None]) -> dict[str, File]:
        try:
            outcome = _Outcome(problem=None, files=part() or {})
        except Exception as error:  # whatever stopped the writing, all must hear it
            outcome = _Outcome(
                problem=f"rank {self._store.rank} could not write: {self._why(error)}"
            )
        replies = self._store.exchange(f"{self._name}/{stage}", msgspec.json.encode(outcome))
        outcomes = [msgspec.json.decode(reply, type=_Outcome) for reply in replies]
        if problems := [outcome.problem for outcome in outcomes if outcome.problem]:
            if self._store.rank == 0:
                shutil.rmtree(self._writing, ignore_errors=True)
            raise CheckpointFailed("; ".join(problems))
        return {name: file for outcome in outcomes for name, file in outcome.files.items()}

    def _why(self, error: Exception) -> str:
        if isinstance(error, RuntimeError) and "inline_container" in str(error):
            # All that torch's writer says of a full disk is where in its code it noticed.
            free = shutil.disk_usage(self._writing).free
            return f"a file could not be written to its end, {_size(free)} free on the disk"
        return _words(error)


def _start(folder: Path, position: Position, known: bool) -> _Start:
    """Rank 0: make the folder, unless it is there or cannot hold what will come."""
    try:
        if known and (there := _there(folder, position)) is not None:
            return _Start(there=there)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        needed = _last_size(folder)
        if (free := shutil.disk_usage(folder).free) < needed:
            return _Start(problem=f"{_size(needed)} needed in {folder}, {_size(free)} free")
        folders.begin(folder, position.step)
    except OSError as error:
        return _Start(problem=f"cannot write to {folder}: {_words(error)}")
    return _Start()


def _there(folder: Path, position: Position) -> Saved | None:
    path = folders.path(folder, position.step)
    try:
        manifest = manifests.read(path)
        manifests.check_sizes(path, manifest)
    except BadCheckpoint:
        return None
    return Saved(str(path), manifest.bytes) if manifest.knobs == position.knobs else None


def _last_size(folder: Path) -> int:
    for _, path in folders.complete(folder):
        try:
            return manifests.read(path).bytes
        except BadCheckpoint:
            continue
    return 0


def _write(writing: Path, engine: Engine, rank: int) -> None:
    engine.save(writing)
    save_random_state(writing, rank)


def _digest(writing: Path, rank: int, world: int) -> dict[str, File]:
    """Flush and digest this rank's share of the files, and of nobody else's."""
    share = manifests.files_below(writing)[rank::world]
    for name in share:
        manifests.flush(writing / name)
    return {name: manifests.describe(writing / name) for name in share}


def _publish(writing: Path, position: Position, files: dict[str, File], store: Store) -> None:
    if store.rank != 0:
        return
    manifests.write(
        writing,
        Manifest(
            step=position.step,
            tokens=position.tokens,
            data_cursor=position.data_cursor,
            world=store.world,
            files=files,
            knobs=position.knobs,
            versions=position.versions,
            created=time.time(),
        ),
    )
    folders.publish(writing, position.step)


def _words(error: Exception) -> str:
    """An error in a few words, without a library's stack of causes."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).strip().split("\n")[0][:200] or type(error).__name__


def _size(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
