"""Locks of compilations that were killed.

torch builds extensions under a lock file that marks a folder as taken while the builder holds it
open. A builder that is killed leaves the file behind, and whoever comes next waits for it for
ever, without a word. A lock file that no process has open is such a one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path


def remove_stale_locks(root: Path) -> list[Path]:
    """Remove the lock files below torch's build folder that nobody holds; those removed."""
    found = [*root.glob("*/lock"), *root.glob("*/*/lock")]
    held = set(_open_files()) if found else set()
    stale = [path for path in found if _identity(path) not in held]
    for path in stale:
        with contextlib.suppress(OSError):
            path.unlink()
    return stale


def _open_files() -> Iterator[tuple[int, int]]:
    """Device and inode of every file that a process of ours (or, as root, any) has open."""
    for folder in Path("/proc").glob("[0-9]*/fd"):
        with contextlib.suppress(OSError):
            for descriptor in folder.iterdir():
                with contextlib.suppress(OSError):
                    status = descriptor.stat()
                    yield status.st_dev, status.st_ino


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
