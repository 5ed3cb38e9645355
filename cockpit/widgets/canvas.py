"""A panel on Textual's Line API that sends only what changed.

Textual compares no cells: a change inside a line re-sends that line from its widget's left edge.
So a canvas is a row of tiles, each a widget; a grid is compared with the one before, and a tile is
asked to repaint only the rows, up to the column, in which its own cells differ.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt
from rich.segment import Segment
from textual.app import ComposeResult
from textual.events import Resize
from textual.geometry import Region, Size
from textual.reactive import Reactive
from textual.strip import Strip
from textual.widget import Widget

from cockpit.widgets.grid import Grid, Ink, decode
from cockpit.widgets.palette import ramp, style


class _Quiet(Widget):
    """A widget that a layout paints once: Textual's own would ask for a second layout and paint
    everything again because its size is a reactive attribute."""

    virtual_size: Reactive[Size] = Reactive(Size(0, 0), layout=False, repaint=False)


class Tile(_Quiet):
    """A vertical slice of a canvas."""

    DEFAULT_CSS = "Tile { width: 1fr; height: 100%; }"
    ALLOW_SELECT = False

    def __init__(self) -> None:
        super().__init__()
        self._rows: dict[int, Strip] = {}

    def refresh(
        self, *regions: Region, repaint: bool = True, layout: bool = False, recompose: bool = False
    ) -> Self:
        """Have rows made anew; all of them without regions, as when colours change."""
        if regions:
            for region in regions:
                for y in region.line_range:
                    self._rows.pop(y, None)
        else:
            self._rows.clear()
        return super().refresh(*regions, repaint=repaint, layout=layout, recompose=recompose)

    def on_resize(self) -> None:
        """Rows of another width."""
        self._rows.clear()

    def render_lines(self, crop: Region) -> list[Strip]:
        """The rows that are asked for. A tile has no border, padding or opacity, which Textual
        would see to at several times the price of the rows themselves."""
        canvas = self.parent
        assert isinstance(canvas, Canvas)
        width, start = self.size.width, self.region.x - canvas.content_region.x
        rows = self._rows
        for y in crop.line_range:
            if y not in rows:
                rows[y] = self._filtered(strip(canvas.grid, y, start, width))
        lines = [rows[y] for y in crop.line_range]
        if crop.column_span != (0, width):
            lines = [line.crop(*crop.column_span) for line in lines]
        return lines

    def _filtered(self, line: Strip) -> Strip:
        for line_filter in self.get_line_filters():
            line = line.apply_filter(line_filter, self.background_colors[1])
        return line

    def repaint(self, changed: npt.NDArray[np.bool_]) -> None:
        """Send rows again up to their last changed cell; changed is [H, width of the tile]."""
        rows = np.flatnonzero(changed.any(axis=1))
        if len(rows):
            ends = changed.shape[1] - np.argmax(changed[rows, ::-1], axis=1)
            self.refresh(
                *(
                    Region(0, row, end, 1)
                    for row, end in zip(rows.tolist(), ends.tolist(), strict=True)
                )
            )


class Canvas(_Quiet):
    """A panel that shows a grid. Subclasses keep their values and say how to draw them."""

    DEFAULT_CSS = "Canvas { layout: horizontal; width: 1fr; height: 1fr; overflow: hidden; }"
    ALLOW_SELECT = False
    BLANK = True  # its tiles cover it
    TILES = 4
    """Into how many tiles it is divided: more for wide panels of which little changes."""
    TOPIC: ClassVar[str] = ""
    """What the help begins with while this has the focus; see screens/help.py."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.grid = Grid(0, 0)
        self._coming: tuple[int, int] | None = None
        """The size that the next layout will give it."""

    def compose(self) -> ComposeResult:
        """The tiles."""
        for _ in range(self.TILES):
            yield Tile()

    def draw(self, width: int, height: int) -> Grid:
        """The grid for a size; for subclasses."""
        return Grid(width, height)

    def redraw(self) -> None:
        """Draw anew, and send the difference."""
        width, height = self.content_region.size
        if self._coming and self._coming != (width, height):
            self.prepare(*self._coming)
            return
        if not (width and height and self.display):
            return
        old, self.grid = self.grid, self.draw(width, height)
        if old.chars.shape != self.grid.chars.shape:
            self._repaint_all()
            return
        changed = (old.chars != self.grid.chars) | (old.inks != self.grid.inks)
        if not changed.any():
            return
        for tile in self.tiles():
            start = tile.region.x - self.content_region.x
            tile.repaint(changed[:, start : start + tile.size.width])

    def prepare(self, width: int, height: int) -> None:
        """Draw for a size that it will have after the next layout, so that its first frame of
        that size is not a blank one."""
        self._coming = width, height
        self.grid = self.draw(width, height)
        self._repaint_all()

    def refresh(
        self, *regions: Region, repaint: bool = True, layout: bool = False, recompose: bool = False
    ) -> Self:
        """Lay out or compose anew. There is nothing to repaint but its tiles, and Textual would
        send all of them when the focus comes or goes."""
        return super().refresh(*regions, repaint=False, layout=layout, recompose=recompose)

    def _repaint_all(self) -> None:
        for tile in self.tiles():
            tile.refresh()

    def tiles(self) -> Iterable[Tile]:
        """The tiles from left to right."""
        return self.query_children(Tile)

    def watch_has_focus(self, _has_focus: bool) -> None:
        """Show who has the keys. No style sheet does that, so none is applied again."""
        self.redraw()

    def on_resize(self, _event: Resize) -> None:
        """Draw for the new size."""
        self._coming = None
        self.redraw()


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
