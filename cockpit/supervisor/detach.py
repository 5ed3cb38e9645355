"""Leaving the terminal: a process that reports whether it started, and is then on its own."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path

from cockpit.client import TAKEN_EXIT

READY = "ready"


def detach(log: Path) -> Callable[[str], None]:
    """Fork. The parent waits for the report that the returned function makes, prints it unless it
    is READY, and exits; the child goes on in a session of its own, printing to `log`."""
    reading, writing = os.pipe()
    if os.fork() != 0:
        os.close(writing)
        with os.fdopen(reading) as answer:
            _exit_with(answer.read().strip(), log)
    os.close(reading)
    os.setsid()
    os.umask(0o077)  # checkpoints and logs are private, whoever writes them
    _redirect(log)
    os.chdir("/")

    def report(text: str) -> None:
        with contextlib.suppress(BrokenPipeError):  # who started us has gone
            os.write(writing, text.encode())
        os.close(writing)

    return report


def _exit_with(text: str, log: Path) -> None:
    if text == READY:
        os._exit(0)
    sys.stdout.write((text or f"the supervisor died as it started; see {log}") + "\n")
    sys.stdout.flush()
    os._exit(TAKEN_EXIT if text.startswith("taken:") else 1)


def _redirect(log: Path) -> None:
    nowhere = os.open(os.devnull, os.O_RDONLY)
    try:
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    except OSError:  # then it must do without
        output = os.open(os.devnull, os.O_WRONLY)
    sys.stdout.flush()
    os.dup2(nowhere, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(nowhere)
    os.close(output)
