"""The lines of a log, as a panel."""

from __future__ import annotations

from textual.events import MouseScrollDown, MouseScrollUp

from cockpit.logbook import LogWindow
from cockpit.widgets.canvas import Canvas
from cockpit.widgets.grid import Grid
from cockpit.widgets.log_view import LogView
from cockpit.widgets.render_logs import log_panel


class LogPanel(Canvas):
    """Draws a view."""

    def __init__(self, view: LogView, window: LogWindow) -> None:
        super().__init__(id="log")
        self._view, self._window = view, window

    def draw(self, width: int, height: int) -> Grid:
        """The lines."""
        shown = self._view.shown(height, self._window.size(), self._window.end)
        return log_panel(width, height, shown)

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        """Back."""
        event.stop()
        self.screen.call_later(self.screen.run_action, "screen.move(-3)")

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        """On."""
        event.stop()
        self.screen.call_later(self.screen.run_action, "screen.move(3)")
