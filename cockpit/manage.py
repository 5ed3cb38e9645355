"""Renaming runs, and deleting them: what can cost someone their work is here, and asks twice."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from cockpit import processes, runs, state
from cockpit.runs import Run, RunError
from trainer.contract import layout

GONE = ".deleted-"
"""How the name of a folder begins whose run is being deleted. No list shows it."""


class NotDeleted(RunError):
    """A run that stays, and why."""


def rename(run: Run, name: str) -> Run:
    """Call a run something else, also while it trains: its folder and its id stay. Raises BadName,
    and OSError where the disk refuses."""
    runs.check_name(run.path.parent, name, run)
    runs.write_private(run.name_file, f"{name}\n".encode("ascii"))
    renamed = runs.load(run.path)
    if renamed is None:
        raise OSError(f"{run.path} is no run any more")
    return renamed


def delete(root: Path, run: Run) -> None:
    """Remove the folder of a run that is over, with its checkpoints, and nothing outside it: links
    go, what they lead to stays. At first it gets a hidden name, so it is a run or not, never half
    of one. Raises NotDeleted with the reason, and OSError where something could not be removed."""
    _check_place(root, run)
    try:
        lock = runs.claim(run)
    except runs.Taken:
        raise NotDeleted(f"{run.name} is not deleted: a supervisor looks after it") from None
    try:  # with the lock nobody can start it meanwhile
        if why := alive(run):
            raise NotDeleted(f"{run.name} is not deleted: {why}")
        _check_mounts(run)
        hidden = Path(tempfile.mkdtemp(prefix=GONE, dir=run.path.parent))
        run.path.rename(hidden / run.path.name)
        shutil.rmtree(hidden)
    finally:
        os.close(lock)


def alive(run: Run) -> str:
    """What still runs of a run, or may run; empty if it is certain that nothing does."""
    now = state.glance(run)
    if not now.over:
        info = runs.supervisor_info(run)
        host = info.host if info else run.host
        if host not in ("", runs.this_host()):
            return f"it is {now.state} on host {host}, as far as can be seen from here"
        return f"it is {now.state}; stop it first"
    if runs.supervisor_alive(runs.supervisor_info(run)):
        return "its supervisor is still ending it"
    found = [str(pid) for pid in _processes(run)]
    if found or runs.trainer_alive(runs.supervisor_info(run)):
        return f"processes of it are left: {', '.join(found) or 'torchrun'}"
    return ""


def _processes(run: Run) -> Iterator[int]:
    for pid in processes.own():
        if processes.environment(pid).get(layout.RUN_VARIABLE) == str(run.path):
            yield pid


def size(run: Run) -> int:
    """Bytes that deleting a run would free, about: those of its files, links not followed."""
    return sum(entry.stat(follow_symlinks=False).st_size for entry in _entries(run.path))


def _check_place(root: Path, run: Run) -> None:
    """A folder that is linked into the list, or was named by a path, may be anyone's."""
    if run.path.parent != root.resolve() or run.path.is_symlink():
        raise NotDeleted(
            f"{run.name} is not deleted: it lies in {run.path.parent}, not in {root}; "
            "delete it there"
        )
    if runs.load(run.path) is None:
        raise NotDeleted(f"{run.path} is not deleted: it is no run any more")


def _check_mounts(run: Run) -> None:
    device = run.path.stat().st_dev
    for entry in _entries(run.path):
        folder = entry.is_dir(follow_symlinks=False)
        if folder and entry.stat(follow_symlinks=False).st_dev != device:
            raise NotDeleted(f"{run.name} is not deleted: {entry.path} is another file system")


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    """All that lies in a folder, at any depth; what vanishes meanwhile is left out."""
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        try:
            is_folder = entry.is_dir(follow_symlinks=False)
            entry.stat(follow_symlinks=False)
        except OSError:
            continue
        yield entry
        if is_folder:
            yield from _entries(Path(entry.path))
