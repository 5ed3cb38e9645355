"""The terminal side: run directories, supervisor, sensors, command line and screens. No torch."""

from __future__ import annotations


def version() -> str:
    """The installed version of l4cockpit."""
    from importlib import metadata  # noqa: PLC0415 - slow to import, seldom wanted

    try:
        return metadata.version("l4cockpit")
    except metadata.PackageNotFoundError:
        return "unknown"
