"""A run directory: what lies where in it, and what its head says."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from trainer.contract import config as configuration
from trainer.contract import layout
from trainer.contract.config import Config
from trainer.contract.values import parse_yaml

VARIABLE = "L4COCKPIT_RUNS_DIR"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""What a run can be called: a name is a reference on the command line."""


class RunError(Exception):
    """A run that cannot be had; the text is one line for the user."""


class RunNotFound(RunError):
    """No run answers to the reference."""


class AmbiguousRun(RunError):
    """Several runs answer to the reference."""


class BadName(RunError):
    """A name that a new run cannot have."""


@dataclass(frozen=True)
class Run:
    """A run directory. created is Unix time."""

    path: Path
    id: str
    name: str
    preset: str
    created: float
    host: str = ""
    """Where it was created."""
    cwd: str = ""
    """Relative paths of the configuration start here."""

    @property
    def run_file(self) -> Path:
        """The resolved configuration."""
        return self.path / layout.RUN_FILE

    @property
    def name_file(self) -> Path:
        """What it was renamed to; absent for most."""
        return self.path / layout.NAME_FILE

    @property
    def lock_file(self) -> Path:
        """Locked for as long as a supervisor lives, or the run is being deleted."""
        return self.path / layout.LOCK

    @property
    def journal(self) -> Path:
        """Every message in order."""
        return self.path / layout.JOURNAL

    @property
    def index(self) -> Path:
        """Where everything is in the journal, and the figures of its steps: a cache."""
        return self.path / layout.INDEX

    @property
    def log(self) -> Path:
        """What torchrun and its ranks printed."""
        return self.path / layout.TRAINER_LOG

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints."""
        return self.path / layout.CHECKPOINTS

    @property
    def supervisor_file(self) -> Path:
        """Who looks after the run."""
        return self.path / layout.SUPERVISOR_FILE

    @property
    def supervisor_log(self) -> Path:
        """What the supervisor printed."""
        return self.path / layout.SUPERVISOR_LOG

    def config(self) -> Config:
        """The checked configuration; raises ConfigError."""
        return configuration.load_run(self.run_file)


def runs_root(option: Path | str | None) -> Path:
    """Where runs lie: the option, else $L4COCKPIT_RUNS_DIR, else ./runs; absolute."""
    return Path(option or os.environ.get(VARIABLE) or "runs").expanduser().resolve()


def load(path: Path) -> Run | None:
    """The run in a directory; None if there is none."""
    try:
        found = (path / layout.RUN_FILE).stat()
        head = _head(str(path / layout.RUN_FILE), found.st_mtime_ns, found.st_ino)
        return run_of(path.resolve(), head)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError, ValueError):
        return None


@lru_cache(4096)
def _head(path: str, _changed: int, _inode: int) -> dict[str, Any]:
    """What run.yaml says of the run itself. Only the head is wanted, and parsing YAML is slow."""
    text = Path(path).read_text(encoding="utf-8")
    return dict(parse_yaml(text.partition("\nversions:")[0])["run"])


def run_of(path: Path, head: Mapping[str, Any]) -> Run:
    """The run with this head. What it was renamed to goes before the name it was made with.
    Raises KeyError, TypeError or ValueError where the head is none."""
    return Run(
        path=path,
        id=str(head["id"]),
        name=_renamed(path) or str(head["name"]),
        preset=str(head["preset"]),
        created=float(head["created"]),
        host=str(head.get("host") or ""),
        cwd=str(head.get("cwd") or ""),
    )


def _renamed(path: Path) -> str:
    try:
        name = (path / layout.NAME_FILE).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
    return name if NAME.fullmatch(name) else ""


def write_private(path: Path, data: bytes) -> None:
    """Write a file of mode 0600 that is on disk, whole, before anyone sees it under its name."""
    making = path.with_name(f".{path.name}.{os.getpid()}.new")
    descriptor = os.open(making, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        making.replace(path)
    except BaseException:
        making.unlink(missing_ok=True)
        raise
