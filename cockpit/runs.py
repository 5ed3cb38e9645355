"""Run directories: where they lie, how one is made, found, and whether somebody looks after it."""

from __future__ import annotations

import getpass
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import yaml

from cockpit import processes
from trainer.contract import config as configuration
from trainer.contract import layout
from trainer.contract.config import Config
from trainer.contract.values import dump_yaml, parse_yaml

VARIABLE = "L4COCKPIT_RUNS_DIR"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_NAMED_VERSIONS = ("l4cockpit", "torch", "transformers", "deepspeed", "peft")


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


class TrainerInfo(msgspec.Struct, kw_only=True):
    """The torchrun of an attempt. identity: see cockpit.processes."""

    pid: int
    identity: str
    attempt: int


class SupervisorInfo(msgspec.Struct, kw_only=True):
    """Who looks after a run: the content of supervisor.json. socket is for clients, pipe for the
    trainer; started is Unix time."""

    pid: int
    identity: str
    host: str
    started: float
    protocol: int
    socket: str
    pipe: str
    trainer: TrainerInfo | None = None


def runs_root(option: Path | str | None) -> Path:
    """Where runs lie: the option, else $L4COCKPIT_RUNS_DIR, else ./runs; absolute."""
    return Path(option or os.environ.get(VARIABLE) or "runs").expanduser().resolve()


# --- making ----------------------------------------------------------------------------


def create(root: Path, preset: str, config: Config, name: str | None = None) -> Run:
    """A new run directory with its run.yaml, private to the user. It appears under its name
    complete or not at all. Raises BadName, and OSError where the disk refuses."""
    root = root.resolve()
    if name is not None:
        _check_name(root, name)
    root.mkdir(parents=True, exist_ok=True)
    created = time.time()
    stem = f"{datetime.fromtimestamp(created):%Y%m%d-%H%M%S}-{_slug(preset)}"
    making = Path(tempfile.mkdtemp(prefix=".new-", dir=root))  # mode 0700
    try:
        for attempt in range(1, 1000):
            run_id = stem if attempt == 1 else f"{stem}-{attempt}"
            head = {
                "id": run_id,
                "name": name or run_id,
                "preset": preset,
                "created": created,
                "host": this_host(),
                "user": _user(),
                "cwd": str(Path.cwd()),
            }
            _write_run_file(making / layout.RUN_FILE, head, config)
            try:
                making.rename(root / run_id)
            except OSError:
                if (root / run_id).exists():  # someone was faster within this second
                    continue
                raise
            return _run(root / run_id, head)
        raise FileExistsError(f"no free name for a run like {stem}")
    except BaseException:
        shutil.rmtree(making, ignore_errors=True)
        raise


def _check_name(root: Path, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise BadName(
            f"a run cannot be called {name!r}: use letters, digits, dots, dashes and underscores, "
            "starting with a letter or digit"
        )
    if any(name in (run.name, run.id) for run in all_runs(root)):
        raise BadName(f"there is already a run called {name}; choose another --name")


def _slug(preset: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", Path(preset).stem).strip("-.") or "run"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a uid without a name, as in many containers
        return str(os.getuid())


def _write_run_file(path: Path, head: dict[str, Any], config: Config) -> None:
    values = {
        "run": head,
        "versions": _versions(),
        "git_commit": _git_commit(),
        "config": msgspec.json.decode(msgspec.json.encode(config)),
    }
    write_private(path, dump_yaml(values).encode())


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


def _versions() -> dict[str, str]:
    from importlib import metadata  # noqa: PLC0415 - slow to import, and not for looking at runs

    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    for name in _NAMED_VERSIONS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _git_commit() -> str | None:
    """The commit of this program, where it runs from a checkout."""
    source = Path(__file__).parents[1]
    if not (source / ".git").exists():
        return None
    try:
        done = subprocess.run(
            ["git", "-C", str(source), "rev-parse", "HEAD"],
            capture_output=True, text=True, timeout=5, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


# --- finding ---------------------------------------------------------------------------


def all_runs(root: Path) -> list[Run]:
    """The runs in a folder, newest first. What is no run, or cannot be read, is left out."""
    try:
        folders = [Path(entry.path) for entry in os.scandir(root) if not entry.name.startswith(".")]
    except OSError:
        return []
    found = [run for folder in folders if (run := load(folder)) is not None]
    return sorted(found, key=lambda run: (run.created, run.id), reverse=True)


def load(path: Path) -> Run | None:
    """The run in a directory; None if there is none."""
    try:
        text = (path / layout.RUN_FILE).read_text(encoding="utf-8")
        # Only the head is wanted here, and parsing YAML is slow.
        values = parse_yaml(text.partition("\nversions:")[0])
        return _run(path.resolve(), values["run"])
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError, ValueError):
        return None


def _run(path: Path, head: dict[str, Any]) -> Run:
    return Run(
        path=path,
        id=str(head["id"]),
        name=str(head["name"]),
        preset=str(head["preset"]),
        created=float(head["created"]),
        host=str(head.get("host") or ""),
        cwd=str(head.get("cwd") or ""),
    )


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


# --- who looks after it ----------------------------------------------------------------


def supervisor_info(run: Run) -> SupervisorInfo | None:
    """What the newest supervisor of the run left about itself; None if there was none."""
    try:
        return msgspec.json.decode(run.supervisor_file.read_bytes(), type=SupervisorInfo)
    except (OSError, msgspec.DecodeError):
        return None


def is_here(info: SupervisorInfo) -> bool:
    """Whether that supervisor was started on this host."""
    return info.host == this_host()


def this_host() -> str:
    """The name that this host gives itself."""
    return socket.gethostname()


def supervisor_alive(info: SupervisorInfo | None) -> bool:
    """Whether that supervisor is running, on this host."""
    return info is not None and is_here(info) and processes.lives(info.pid, info.identity)


def trainer_alive(info: SupervisorInfo | None) -> bool:
    """Whether the torchrun that it started is running, on this host."""
    if info is None or info.trainer is None or not is_here(info):
        return False
    return processes.lives(info.trainer.pid, info.trainer.identity)
