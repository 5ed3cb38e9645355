"""Textual's terminal driver, in fewer bytes."""

from __future__ import annotations

from textual.drivers.linux_driver import LinuxDriver

from cockpit import terminal
from cockpit.ascii import plain
from cockpit.sgr import lean
from cockpit.widgets.paper import PaperApp


class LeanDriver(LinuxDriver):
    """Says of colours only what changes, and all of it in ASCII where the terminal has no more."""

    def write(self, data: str) -> None:
        """Write a frame, or whatever else."""
        if terminal.in_use().ascii:
            data = plain(data)
        super().write(lean(data) if "\x1b[0m" in data else data)

    def start_application_mode(self) -> None:
        """Also after the process was stopped, and other programs have written to the terminal."""
        if isinstance(self._app, PaperApp):
            self._app.paper = None
        super().start_application_mode()  # type: ignore[no-untyped-call]
