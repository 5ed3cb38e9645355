"""The terminal side: run directories, supervisor, sensors, command line and screens. No torch."""

from __future__ import annotations

from importlib import metadata


def version() -> str:
    """The installed version of l4cockpit."""
    try:
        return metadata.version("l4cockpit")
    except metadata.PackageNotFoundError:
        return "unknown"
