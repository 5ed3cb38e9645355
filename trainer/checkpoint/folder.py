"""The folder of checkpoints of a run: names, what is newest, what may go.

step-00000100/            complete, for it got this name by a rename after its manifest
.writing-step-00000125/   on its way, or left behind by a killed process
latest -> step-00000100   for people and scripts; nothing here relies on it
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from trainer.checkpoint.manifest import flush
from trainer.contract import layout

_NAME = re.compile(r"step-(\d{8,})")
_LEFTOVER = (".writing-", ".pruned-", ".replaced-", ".latest-")


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


def publish(written: Path, step: int) -> None:
    """Give a written checkpoint its name, and point `latest` to it."""
    folder = written.parent
    target = path(folder, step)
    if target.exists():  # one that was found bad, or it would not be written again
        old = folder / f".replaced-{target.name}"
        shutil.rmtree(old, ignore_errors=True)
        target.rename(old)
    written.rename(target)
    flush(folder)
    link = folder / f".latest-{target.name}"
    link.unlink(missing_ok=True)
    link.symlink_to(target.name)
    link.replace(folder / layout.LATEST)
    flush(folder)
    shutil.rmtree(folder / f".replaced-{target.name}", ignore_errors=True)


def prune(folder: Path, keep: int) -> list[tuple[int, Path]]:
    """Remove all but the newest `keep` checkpoints (0 keeps all); those removed."""
    surplus = complete(folder)[keep:] if keep else []
    for _, old in surplus:
        # The rename first: a half-removed folder must not look like a checkpoint.
        going = old.with_name(f".pruned-{old.name}")
        old.rename(going)
        shutil.rmtree(going, ignore_errors=True)
    return surplus


def tidy(folder: Path) -> None:
    """Remove what killed processes left half-done."""
    for entry in folder.iterdir() if folder.is_dir() else ():
        if not entry.name.startswith(_LEFTOVER):
            continue
        if entry.is_symlink():
            entry.unlink(missing_ok=True)
        else:
            shutil.rmtree(entry, ignore_errors=True)
