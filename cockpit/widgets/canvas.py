"""A panel that shows a grid.

A canvas is drawn when it is painted: however often its values change in between, and whatever size
a layout gives it, there is one drawing a frame. What of the frame is sent is the painter's affair
(painter.py); where Textual paints, by its Line API, a canvas is lines like any other widget.
"""

from __future__ import annotations

from typing import ClassVar

from rich.segment import Segment
from textual.geometry import Region, Size
from textual.reactive import Reactive
from textual.strip import Strip
from textual.widget import Widget

from cockpit import terminal
from cockpit.widgets.frame import finished
from cockpit.widgets.grid import Grid, Ink, decode, runs
from cockpit.widgets.palette import looks, style


class Canvas(Widget):
    """Subclasses keep their values and say how to draw them."""

    DEFAULT_CSS = "Canvas { width: 1fr; height: 1fr; overflow: hidden; }"
    ALLOW_SELECT = False
    TOPIC: ClassVar[str] = ""
    """What the help begins with while this has the focus; see screens/help.py."""
    virtual_size: Reactive[Size] = Reactive(Size(0, 0), layout=False, repaint=False)
    """As Textual's own, which would lay the screen out a second time when it changes."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._grid: Grid | None = None

    def draw(self, width: int, height: int) -> Grid:
        """The grid for a size; for subclasses."""
        return Grid(width, height)

    def redraw(self) -> None:
        """Draw anew, in the next frame."""
        self._grid = None
        self.refresh()

    @property
    def grid(self) -> Grid:
        """What it shows."""
        width, height = self.content_size
        if self._grid is None or self._grid.chars.shape != (height, width):
            self._grid = self.draw(width, height)
        return self._grid

    def put_on(self, frame: Grid, region: Region) -> None:
        """Paste what it shows into a frame, with its border if it has one."""
        gutter = self.gutter
        if not gutter:
            frame.paste(region.y, region.x, self.grid)
            return
        box = Grid(*region.size)
        if self.styles.border_top[0]:
            _border(box)
        box.paste(gutter.top, gutter.left, self.grid)
        frame.paste(region.y, region.x, box)

    def render_line(self, y: int) -> Strip:
        """A row, for Textual to paint."""
        row, grid = Grid(0, 0), self.grid
        row.chars, row.inks = grid.chars[y : y + 1], grid.inks[y : y + 1]
        line = strip(finished(row, looks(terminal.in_use())))
        for line_filter in self.get_line_filters():
            line = line.apply_filter(line_filter, self.background_colors[1])
        return line

    def watch_has_focus(self, _has_focus: bool) -> None:
        """Show who has the keys. No style sheet does that, so none is applied again."""
        self.redraw()


def _border(box: Grid) -> None:
    """A line with round corners along the edges."""
    box.inks[:] = Ink.BAND
    box.chars[[0, -1], :], box.chars[:, [0, -1]] = ord("─"), ord("│")
    box.chars[0, 0], box.chars[0, -1] = ord("╭"), ord("╮")
    box.chars[-1, 0], box.chars[-1, -1] = ord("╰"), ord("╯")


def strip(row: Grid) -> Strip:
    """A frame's row, finished, as runs of one ink."""
    text, inks = decode(row.chars[0]), row.inks[0]
    parts = [Segment(text[first:last], style(int(inks[first]))) for first, last in runs(inks)]
    return Strip(parts, row.width)
