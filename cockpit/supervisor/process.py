"""The trainer's processes: started apart from the supervisor, watched, and ended to the last."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from cockpit import processes
from cockpit.runs import Run, SupervisorInfo, TrainerInfo
from trainer.contract import launch, layout
from trainer.contract.config import Config

TEST_COMMAND = "L4COCKPIT_TEST_TRAINER"
"""Tests put the command line of a stand-in for torchrun here."""
_PR_SET_CHILD_SUBREAPER = 36
_POLITE = 2.0
"""Seconds between SIGTERM and SIGKILL."""
_LAST_RESORT = 20.0


@dataclass
class Trainer:
    """A torchrun. own tells whether this supervisor started it, and so learns its exit code."""

    info: TrainerInfo
    own: bool
    _status: int | None = None

    @property
    def ended(self) -> bool:
        """Whether torchrun is gone."""
        if not self.own:
            return not processes.lives(self.info.pid, self.info.identity)
        self._status = reap().get(self.info.pid, self._status)
        return self._status is not None

    @property
    def code(self) -> int | None:
        """How torchrun ended: its exit code, or minus the signal; None where nobody can know."""
        return None if self._status is None else os.waitstatus_to_exitcode(self._status)


_statuses: dict[int, int] = {}


def become_reaper() -> None:
    """Have orphans of the trainer become children of this process, so that none can hide."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def reap() -> dict[int, int]:
    """The wait statuses of all children that have ended so far."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return _statuses
        if pid == 0:
            return _statuses
        _statuses[pid] = status


def start(run: Run, config: Config, pipe: Path, attempt: int) -> Trainer:
    """Start torchrun in a session of its own. It prints straight into trainer.log, not through
    this process, and so outlives it. Raises OSError."""
    log = os.open(run.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    environment = launch.environment(os.environ, run.path, pipe, attempt)
    # Whatever lies in the user's folder must not stand in for a module of ours.
    environment["PYTHONSAFEPATH"] = "1"
    try:
        os.write(log, f"{log_header(attempt)} {time.strftime('%Y-%m-%d %H:%M:%S')}\n".encode())
        child = subprocess.Popen(
            _command(run, config, attempt),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd=run.cwd if run.cwd and Path(run.cwd).is_dir() else run.path,
            env=environment,
        )
    finally:
        os.close(log)
    child.returncode = 0  # `reap` waits for it, not the Popen object
    identity = processes.identity(child.pid) or ""
    return Trainer(TrainerInfo(pid=child.pid, identity=identity, attempt=attempt), own=True)


def _command(run: Run, config: Config, attempt: int) -> list[str]:
    if stand_in := os.environ.get(TEST_COMMAND):
        return [*shlex.split(stand_in), str(run.run_file)]
    return launch.torchrun_command(sys.executable, config, run.path, attempt)


def log_header(attempt: int) -> str:
    """The line in trainer.log with which an attempt begins."""
    return f"--- attempt {attempt} ---"


def adopt(run: Run, info: SupervisorInfo | None) -> Trainer | None:
    """The torchrun that an earlier supervisor started, if it still runs."""
    known = info.trainer if info else None
    if known is not None and processes.lives(known.pid, known.identity):
        return Trainer(known, own=False)
    # The supervisor may have died between starting it and writing its pid down.
    found = set(members(run.path))
    for pid in found:
        environment = processes.environment(pid)
        if _parent(pid) not in found and "RANK" not in environment:
            attempt = int(environment.get(layout.ATTEMPT_VARIABLE, "0"))
            identity = processes.identity(pid)
            if identity and attempt > (known.attempt if known else 0):
                return Trainer(TrainerInfo(pid=pid, identity=identity, attempt=attempt), own=False)
    return None


def _parent(pid: int) -> int:
    try:
        return psutil.Process(pid).ppid()
    except psutil.Error:
        return 0


# --- ending ----------------------------------------------------------------------------


def members(run_path: Path, torchrun: int = 0) -> list[int]:
    """Every living process of a run: those that carry its mark in their environment, and what
    descends from this supervisor or from torchrun."""
    mark = str(run_path)
    found = {
        pid
        for pid in processes.own()
        if processes.environment(pid).get(layout.RUN_VARIABLE) == mark and not _supervises(pid)
    }
    for root in {os.getpid(), torchrun} - {0}:
        try:
            found |= {child.pid for child in psutil.Process(root).children(recursive=True)}
        except psutil.Error:
            continue
    if torchrun:
        found.add(torchrun)
    return [pid for pid in found if pid != os.getpid() and processes.identity(pid) is not None]


def _supervises(pid: int) -> bool:
    return "cockpit.supervisor" in processes.command_line(pid)


async def end_all(run_path: Path, torchrun: int = 0) -> list[int]:
    """End every process of a run: politely, then not. Returns those that even SIGKILL did not
    end (they hang in the kernel)."""
    began = time.monotonic()
    asked: set[int] = set()
    while True:
        reap()
        left = members(run_path, torchrun)
        if not left:
            return []
        waited = time.monotonic() - began
        if waited > _LAST_RESORT:
            return left
        for pid in left:
            if waited > _POLITE:
                _signal(pid, signal.SIGKILL)
            elif pid not in asked:
                asked.add(pid)
                _signal(pid, signal.SIGTERM)
        await asyncio.sleep(0.05)


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(OSError):
        os.kill(pid, number)


async def kill_all(run_path: Path, torchrun: int = 0) -> list[int]:
    """End every process of a run at once. Returns those that hang in the kernel."""
    for pid in members(run_path, torchrun):
        _signal(pid, signal.SIGKILL)
    return await end_all(run_path, torchrun)
