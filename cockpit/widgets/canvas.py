"""A panel that shows a grid.

A canvas is drawn when it is painted: however often its values change in between, and whatever size
a layout gives it, there is one drawing a frame. What of the frame is sent is the painter's affair
(painter.py); where Textual paints, by its Line API, a canvas is lines like any other widget.
"""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

from rich.segment import Segment
from textual.geometry import Region, Size
from textual.reactive import Reactive
from textual.strip import Strip
from textual.widget import Widget

from cockpit.widgets.grid import Grid, Ink, decode
from cockpit.widgets.palette import ramp, style


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
        line = strip(self.grid, y, 0, self.content_size.width)
        for line_filter in self.get_line_filters():
            line = line.apply_filter(line_filter, self.background_colors[1])
        return line

    def watch_has_focus(self, _has_focus: bool) -> None:
        """Show who has the keys. No style sheet does that, so none is applied again."""
        self.redraw()


def _border(box: Grid) -> None:
    """A line with round corners along the edges."""
    box.chars[[0, -1], :], box.chars[:, [0, -1]] = ord("─"), ord("│")
    box.put(0, 0, "╭"), box.put(0, box.width - 1, "╮")
    box.put(box.height - 1, 0, "╰"), box.put(box.height - 1, box.width - 1, "╯")
    box.inks[[0, -1], :] = box.inks[:, [0, -1]] = Ink.BAND


def strip(grid: Grid, row: int, start: int, width: int) -> Strip:
    """Some cells of a row, as runs of one style; blank beyond the grid."""
    if row >= grid.height or start >= grid.width:
        return Strip([Segment(" " * width, style(0))], width)
    text = decode(grid.chars[row, start : start + width])
    found = grid.inks[row, start : start + width].tolist()
    if shades := ramp():
        text = shaded(text, found, shades)
    edges, inks = runs(text, found)
    parts = [
        Segment(part := text[first:last], style(ink, ink >= _HEAT and part.isspace()))
        for (first, last), ink in zip(pairwise(edges), inks, strict=True)
    ]
    if len(text) < width:
        parts.append(Segment(" " * (width - len(text)), style(0)))
    return Strip(parts, width)


def shaded(text: str, inks: list[int], ramp: str) -> str:
    """A map's blank cells with the characters of their heat levels (one each in ramp), for
    terminals with too few colours for that."""
    return "".join(
        ramp[ink - _HEAT] if ink >= _HEAT and char == " " else char
        for char, ink in zip(text, inks, strict=True)
    )


_HEAT = int(Ink.HEAT)
_PLAIN = [not Ink.CURSOR <= ink <= Ink.CURSOR_DIM and ink < Ink.HEAT for ink in range(256)]
"""Which inks have the plain background."""


def runs(text: str, inks: list[int]) -> tuple[list[int], list[int]]:
    """Where a run of one ink begins (and at last, where all end), and those inks. A blank takes the
    ink of the run before it where both have the plain background: it looks the same, and a row has
    half as many runs to send. A loop, because a tile's row is shorter than numpy is worth."""
    edges, found, now = [], [], -1
    for at, (char, ink) in enumerate(zip(text, inks, strict=True)):
        if ink == now or (char == " " and now >= 0 and _PLAIN[ink] and _PLAIN[now]):
            continue
        edges.append(at)
        found.append(ink)
        now = ink
    edges.append(len(inks))
    return edges, found
