"""Finding the newest good checkpoint, by all ranks together, and taking it up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from trainer.checkpoint import folder as folders
from trainer.checkpoint import manifest as manifests
from trainer.checkpoint.manifest import BadCheckpoint, Manifest
from trainer.store import Store


class NoGoodCheckpoint(Exception):
    """There are checkpoints, and none can be used; starting over must be asked for."""


class _Candidate(msgspec.Struct):
    """What rank 0 proposes: a checkpoint, or None at the end of the list."""

    path: str | None
    step: int = 0
    problem: str | None = None


def newest_good(
    folder: Path, store: Store, reject: Callable[[int, Path, str], None]
) -> tuple[Path, Manifest] | None:
    """The newest checkpoint whose files all have their checksums, each rank reading its share of
    them; None if there is none at all. reject is called, on rank 0, for each that is passed
    over. Raises NoGoodCheckpoint on all ranks if all were."""
    if store.rank == 0:
        folders.tidy(folder)
    listed = folders.complete(folder) if store.rank == 0 else []
    for number in range(10**6):
        candidate = _propose(listed, number, store)
        if candidate.path is None:
            if number:
                raise NoGoodCheckpoint(f"none of the {number} checkpoints in {folder} can be used")
            return None
        path = Path(candidate.path)
        problem = candidate.problem or _problem_in_share(path, number, store)
        if problem is None:
            return path, manifests.read(path)
        if store.rank == 0:
            reject(candidate.step, path, problem)
    raise AssertionError("unreachable")


def _propose(listed: list[tuple[int, Path]], number: int, store: Store) -> _Candidate:
    mine = None
    if store.rank == 0:
        mine = _Candidate(path=None)
        if number < len(listed):
            step, path = listed[number]
            mine = _Candidate(str(path), step, _problem(path, store.world))
    value = None if mine is None else msgspec.json.encode(mine)
    return msgspec.json.decode(store.share(f"candidate/{number}", value), type=_Candidate)


def _problem(path: Path, world: int) -> str | None:
    """What is wrong with a checkpoint, as far as can be told without reading all of it."""
    try:
        manifest = manifests.read(path)
        if manifest.world != world:
            return f"it was written by {manifest.world} ranks, there are {world} now"
        manifests.check_sizes(path, manifest)
    except BadCheckpoint as problem:
        return str(problem)
    return None


def _problem_in_share(path: Path, number: int, store: Store) -> str | None:
    """What any rank found wrong in its share of the files."""
    try:
        manifest = manifests.read(path)
        share = sorted(manifest.files)[store.rank :: store.world]
        manifests.check_contents(path, manifest, share)
        mine = ""
    except BadCheckpoint as problem:
        mine = str(problem)
    found = store.exchange(f"candidate/{number}/contents", mine.encode())
    return next((text.decode() for text in found if text), None)
