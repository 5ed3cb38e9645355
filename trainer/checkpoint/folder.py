"""The folder of checkpoints of a run: names, what is newest, what may go.

step-00000100/            complete, for it got this name by a rename after its manifest
.writing-step-00000125/   on its way, or left behind by a killed process
latest -> step-00000100   for people and scripts; nothing here relies on it
"""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Collection
from pathlib import Path

from trainer.checkpoint.manifest import flush
from trainer.contract import layout

_NAME = re.compile(r"step-(\d{8,})")
_REPLACED = ".replaced-"
_LEFTOVER = (".writing-", ".pruned-", _REPLACED, ".latest-")


def complete(folder: Path) -> list[tuple[int, Path]]:
    """Steps and paths of the checkpoints that got their name, newest first."""
    if not folder.is_dir():
        return []
    found = ((_NAME.fullmatch(entry.name), entry) for entry in folder.iterdir())
    return sorted(((int(match[1]), entry) for match, entry in found if match), reverse=True)


def path(folder: Path, step: int) -> Path:
    """Where the checkpoint of a step lies once it is complete."""
    return folder / layout.checkpoint_name(step)


def writing(folder: Path, step: int) -> Path:
    """Where the checkpoint of a step is written."""
    return folder / f".writing-{layout.checkpoint_name(step)}"


def begin(folder: Path, step: int) -> None:
    """Make an empty folder to write a checkpoint into."""
    making = writing(folder, step)
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(parents=True, mode=0o700)
    # The engine's folder too: a rank that failed to make it would leave the others waiting.
    (making / layout.ENGINE_STATE).mkdir(mode=0o700)


def publish(written: Path, step: int) -> None:
    """Give a written checkpoint its name, and point `latest` to it."""
    folder = written.parent
    target = path(folder, step)
    if target.exists():  # found bad, or written with other live settings
        old = folder / f"{_REPLACED}{target.name}"
        shutil.rmtree(old, ignore_errors=True)
        target.rename(old)
    written.rename(target)
    flush(folder)
    link = folder / f".latest-{target.name}"
    link.unlink(missing_ok=True)
    link.symlink_to(target.name)
    link.replace(folder / layout.LATEST)
    flush(folder)
    shutil.rmtree(folder / f"{_REPLACED}{target.name}", ignore_errors=True)


def prune(folder: Path, keep: int, step: int, bad: Collection[Path]) -> list[tuple[int, Path]]:
    """Remove, of the checkpoints up to that of a step, which is good, all but the newest `keep`
    good ones (0 keeps all); those removed. Later ones were passed over and do not count."""
    past = [(number, path) for number, path in complete(folder) if number <= step]
    good = [(number, path) for number, path in past if path not in bad]
    removed = []
    for number, old in past if keep else ():
        if (number, old) in good[:keep]:
            continue
        # The rename first: a half-removed folder must not look like a checkpoint.
        going = old.with_name(f".pruned-{old.name}")
        with contextlib.suppress(OSError):  # what cannot be removed stays
            old.rename(going)
            shutil.rmtree(going, ignore_errors=True)
            removed.append((number, old))
    return removed


def tidy(folder: Path) -> None:
    """Remove what killed processes left half-done, and put back what they were replacing."""
    for entry in list(folder.iterdir()) if folder.is_dir() else ():
        if not entry.name.startswith(_LEFTOVER):
            continue
        replaced = entry.with_name(entry.name.removeprefix(_REPLACED))
        if entry.name.startswith(_REPLACED) and not replaced.exists():
            with contextlib.suppress(OSError):
                entry.rename(replaced)
        elif entry.is_symlink():
            entry.unlink(missing_ok=True)
        else:
            shutil.rmtree(entry, ignore_errors=True)
