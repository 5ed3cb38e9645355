"""Making a run directory."""

from __future__ import annotations

import getpass
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from cockpit.runs.care import this_host
from cockpit.runs.directory import Run, run_of, write_private
from cockpit.runs.finding import check_name
from trainer.contract import layout
from trainer.contract.config import Config
from trainer.contract.values import dump_yaml

_NAMED_VERSIONS = ("l4cockpit", "torch", "transformers", "deepspeed", "peft")


def create(root: Path, preset: str, config: Config, name: str | None = None) -> Run:
    """A new run directory with its run.yaml, private to the user. It appears under its name
    complete or not at all. Raises BadName, and OSError where the disk refuses."""
    root = root.resolve()
    if name is not None:
        check_name(root, name)
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
            return run_of(root / run_id, head)
        raise FileExistsError(f"no free name for a run like {stem}")
    except BaseException:
        shutil.rmtree(making, ignore_errors=True)
        raise


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
