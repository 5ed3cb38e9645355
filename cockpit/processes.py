"""Which process is which: a pid alone may have been given to another process meanwhile."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path


def identity(pid: int) -> str | None:
    """A text that no other process of this host ever shares: boot and start time in clock ticks.
    None if the process is gone, or dead and only not yet reaped."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The name, in parentheses, may hold anything; what follows is: state, parent, …
    fields = text.rpartition(")")[2].split()
    if not fields or fields[0] in "ZX":
        return None
    return f"{_boot()}-{pid}-{fields[19]}"


def lives(pid: int, expected: str) -> bool:
    """Whether the process that had this identity is still running."""
    return pid > 0 and identity(pid) == expected


def command_line(pid: int) -> list[str]:
    """The process's arguments; empty if it is gone or not ours to read."""
    return _null_separated(pid, "cmdline")


def environment(pid: int) -> dict[str, str]:
    """The process's environment as it was started; empty if it is gone or not ours to read."""
    pairs = (entry.partition("=") for entry in _null_separated(pid, "environ"))
    return {key: value for key, _, value in pairs}


def own() -> list[int]:
    """Every process of this user but this one."""
    me, uid, found = os.getpid(), os.getuid(), []
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit() or int(entry.name) == me:
            continue
        try:
            if entry.stat().st_uid == uid:
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def _null_separated(pid: int, name: str) -> list[str]:
    try:
        data = Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return []
    return [part.decode(errors="surrogateescape") for part in data.split(b"\0") if part]


@cache
def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()[:8]
    except OSError:
        return "unknown"
