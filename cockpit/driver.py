"""Textual's terminal driver, in fewer bytes."""

from __future__ import annotations

from textual.drivers.linux_driver import LinuxDriver

from cockpit.sgr import lean


class LeanDriver(LinuxDriver):
    """Says of colours only what changes."""

    def write(self, data: str) -> None:
        """Write a frame, or whatever else."""
        super().write(lean(data) if "\x1b[" in data else data)
