"""A question that is answered with a line of text, over the screen that asks."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.events import Key, Paste

from cockpit.screens.painted import Dialog
from cockpit.widgets.canvas import Canvas
from cockpit.widgets.grid import Grid, Ink, fit
from cockpit.widgets.line_edit import LineEdit

Check = Callable[[str], str]
"""What is wrong with a text, in one line; empty where it will do."""


class Line(Canvas):
    """Heading, the text, and what is wrong with it."""

    def __init__(self, heading: str, text: str) -> None:
        super().__init__()
        self.heading, self.edit, self.problem = heading, LineEdit(text), ""

    def draw(self, width: int, height: int) -> Grid:
        """Four lines."""
        grid = Grid(width, height)
        grid.put(0, 2, fit(self.heading, width - 4), Ink.TITLE)
        self.edit.draw(grid, 2, 2, width - 4, Ink.STRONG)
        grid.put(4, 2, fit(self.problem, width - 4), Ink.BAD)
        grid.put(6, 2, "enter", Ink.KEY)
        grid.put(6, 8, "save", Ink.DIM)
        grid.put(6, 15, "esc", Ink.KEY)
        grid.put(6, 19, "cancel", Ink.DIM)
        return grid


class Prompt(Dialog[str]):
    """Asks for a line, checked as it is typed; its result is the text, "" for none."""

    CSS = """
    Prompt { align: center middle; background: #000000 40%; }
    Line { width: 84; height: 10; max-width: 100%; max-height: 100%; padding: 1 1 0 1;
           background: $background; border: round $edge; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "Cancel"),
        Binding("enter", "save", "Save"),
    ]

    def __init__(self, heading: str, text: str, check: Check) -> None:
        super().__init__()
        self._line, self._check = Line(heading, text), check

    def compose(self) -> ComposeResult:
        """The box."""
        yield self._line

    def on_key(self, event: Key) -> None:
        """What is typed."""
        if self._line.edit.key(event.key, event.character):
            event.stop()
            self._typed()

    def on_paste(self, event: Paste) -> None:
        """What is pasted."""
        event.stop()
        self._line.edit.insert(event.text)
        self._typed()

    def _typed(self) -> None:
        self._line.problem = self._check(self._line.edit.text)
        self._line.redraw()

    def action_save(self) -> None:
        """This text, if nothing is wrong with it."""
        self._typed()
        if not self._line.problem:
            self.dismiss(self._line.edit.text)

    def action_cancel(self) -> None:
        """No text."""
        self.dismiss("")
