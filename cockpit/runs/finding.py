"""Finding runs in their folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from cockpit.runs.directory import NAME, AmbiguousRun, BadName, Run, RunNotFound, load


def all_runs(root: Path) -> list[Run]:
    """The runs in a folder, newest first. What is no run, or cannot be read, is left out."""
    try:
        folders = [Path(entry.path) for entry in os.scandir(root) if not entry.name.startswith(".")]
    except OSError:
        return []
    found = [run for folder in folders if (run := load(folder)) is not None]
    return sorted(found, key=lambda run: (run.created, run.id), reverse=True)


def find(root: Path, ref: str | None) -> Run:
    """The run with this id, name, or unambiguous beginning of either; the newest for None. A path
    to a run directory serves too. Raises RunNotFound or AmbiguousRun."""
    if ref is not None and "/" in ref and (given := load(Path(ref).expanduser())) is not None:
        return given
    runs = all_runs(root)
    if not runs:
        raise RunNotFound(f"no runs in {root}; start one with: l4cockpit run tiny")
    if ref is None:
        return runs[0]
    tests: tuple[Callable[[Run], bool], ...] = (
        lambda run: run.id == ref,
        lambda run: run.name == ref,
        lambda run: run.id.startswith(ref) or run.name.startswith(ref),
    )
    for test in tests:
        matches = [run for run in runs if test(run)]
        if len(matches) == 1:
            return matches[0]
        if matches and ref:
            raise AmbiguousRun(f"{ref} could be any of {_names(matches)}; write more of it")
    raise RunNotFound(f"no run {ref!r} in {root}; there are {_names(runs)}")


def _names(found: Iterable[Run], shown: int = 5) -> str:
    names = [run.name for run in found]
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


def check_name(root: Path, name: str, own: Run | None = None) -> None:
    """Raises BadName unless a run can be called this: a new one, or `own`, which may keep it."""
    if not NAME.fullmatch(name):
        raise BadName(
            f"a run cannot be called {name!r}: use letters, digits, dots, dashes and underscores, "
            "starting with a letter or digit"
        )
    others = [run for run in all_runs(root) if own is None or run.path != own.path]
    if any(name in (run.name, run.id) for run in others):
        raise BadName(f"there is already a run called {name}; choose another name")
