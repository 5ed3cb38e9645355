"""What is on the terminal, as far as that is known. Nothing here is slow to import."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from textual.app import App

from cockpit.terminal import Terminal

if TYPE_CHECKING:
    from cockpit.widgets.grid import Grid

Result = TypeVar("Result")


class Paper(NamedTuple):
    """A frame, and the kind of terminal that it was written to."""

    frame: Grid
    kind: Terminal


class PaperApp(App[Result]):
    """An app that remembers what it has written (see painter.py)."""

    paper: Paper | None = None
    """None while it is not known what is on the terminal; the next frame is sent whole then."""

    def _display(self, screen: Any, renderable: Any) -> None:
        if renderable is not None and not getattr(renderable, "ON_PAPER", False):
            self.paper = None
        super()._display(screen, renderable)

    def on_resize(self) -> None:
        """Terminals differ in what they keep."""
        self.paper = None

    def action_paint(self) -> None:
        """All of it, whatever was written over it."""
        self.paper = None
        self.screen.refresh()
