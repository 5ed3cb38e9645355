"""The two lists of the home screen, under one cursor."""

from __future__ import annotations

import time
from collections.abc import Sequence

from textual.events import Click, MouseScrollDown, MouseScrollUp
from textual.message import Message

from cockpit.widgets.canvas import Canvas
from cockpit.widgets.grid import Grid
from cockpit.widgets.render_home import Row, RunRow, Shown, home, row_at


class HomeList(Canvas):
    """Draws rows; the cursor stays on what it is on, whatever the order becomes."""

    class Chosen(Message):
        """The row under the cursor was clicked."""

    def __init__(self) -> None:
        super().__init__(id="choices")
        self._rows: Sequence[Row] = ()
        self._shown = Shown(looking=True)
        self._cursor = 0

    @property
    def row(self) -> Row | None:
        """What is under the cursor."""
        return self._rows[self._cursor] if self._cursor < len(self._rows) else None

    def show(self, rows: Sequence[Row], shown: Shown) -> None:
        """Draw these rows."""
        key = _key(self.row)
        self._rows, self._shown = rows, shown
        places = [n for n, row in enumerate(rows) if _key(row) == key]
        self._cursor = places[0] if places else min(self._cursor, max(len(rows) - 1, 0))
        self.redraw()

    def move(self, by: int) -> None:
        """The cursor, by some rows, up to the ends."""
        self._cursor = max(0, min(self._cursor + by, len(self._rows) - 1))
        self.redraw()

    def to_first_run(self) -> None:
        """The cursor onto the first run, if there is one."""
        runs = [n for n, row in enumerate(self._rows) if isinstance(row, RunRow)]
        self._cursor = runs[0] if runs else self._cursor
        self.redraw()

    def on_click(self, event: Click) -> None:
        """A click moves the cursor; a second one there chooses."""
        y = event.screen_y - self.region.y
        row = row_at(self._rows, self.size.height, self._cursor, y, self._shown)
        if row is None:
            return
        if row == self._cursor:
            self.post_message(self.Chosen())
        self._cursor = row
        self.redraw()

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        """Up."""
        event.stop()
        self.move(-1)

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        """Down."""
        event.stop()
        self.move(1)

    def draw(self, width: int, height: int) -> Grid:
        """The lists."""
        return home(width, height, self._rows, self._cursor, time.time(), self._shown)


def _key(row: Row | None) -> str:
    if row is None:
        return ""
    return f"run {row.key}" if isinstance(row, RunRow) else f"preset {row.name}"
