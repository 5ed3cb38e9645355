"""Who looks after a run, and taking it over."""

from __future__ import annotations

import fcntl
import os
import socket
import time

import msgspec

from cockpit import processes
from cockpit.runs.directory import Run


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


class Taken(Exception):
    """Another process looks after the run."""


_DYING = 2.0
"""Seconds that the threads of a killed supervisor may go on holding its lock."""


def claim(run: Run) -> int:
    """Become the only one that looks after a run: the descriptor to keep open. Raises Taken, or
    OSError where the run directory cannot be written. Waits a moment for one that is dying."""
    descriptor = os.open(run.lock_file, os.O_RDWR | os.O_CREAT, 0o600)
    if not _lock(descriptor, run):
        os.close(descriptor)
        raise Taken(f"taken: {run.name} has a supervisor already")
    info = supervisor_info(run)
    if info is not None and supervisor_alive(info) and info.pid != os.getpid():
        os.close(descriptor)
        raise Taken(f"taken: {run.name} has a supervisor already (pid {info.pid})")
    return descriptor


def _lock(descriptor: int, run: Run) -> bool:
    until = time.monotonic() + _DYING
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if supervisor_alive(supervisor_info(run)) or time.monotonic() > until:
                return False
            time.sleep(0.02)
        except OSError:
            return True  # a file system without locks; who is alive is all that can be asked
        else:
            return True
