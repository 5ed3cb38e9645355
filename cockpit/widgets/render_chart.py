"""A chart with its title, axes and marks: values in, grid out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from cockpit.source import Axis
from cockpit.widgets.glyphs import UNICODE, Glyphs
from cockpit.widgets.grid import Grid, Ink, fit, title
from cockpit.widgets.render_axes import Scale, x_ticks
from cockpit.widgets.render_plot import Curve, letter, plot, stack
from cockpit.widgets.units import number

GUTTER = 7
"""Columns left of the plot, for the labels of the y axis."""
_NAMES = {"step": "step", "tokens": "tok", "time": "time"}


@dataclass
class Chart:
    """All that a chart shows. [start, end) is the seen part of the x axis, and every curve has two
    columns for each cell of it. values are the curves' newest figures, or those at the crosshair,
    as text; `where` says where that is, at cell `cursor` of the plot. restarts lie on the x axis.
    hint is for the last row."""

    name: str
    curves: Sequence[Curve]
    scale: Scale
    start: float
    end: float
    axis: Axis = "step"
    stacked: bool = False
    values: Sequence[str] = ()
    note: str = ""
    where: str = ""
    cursor: int | None = None
    restarts: Sequence[float] = ()
    hint: Sequence[tuple[str, str]] = ()
    chosen: bool = field(default=False)


def room(width: int, height: int, curves: int, hint: bool) -> tuple[int, int]:
    """How many cells the plot of a chart has: columns and rows, one at the least."""
    legend = int(curves > 1)
    return max(width - GUTTER - 1, 1), max(height - 2 - legend - hint, 1)


def chart(width: int, height: int, shown: Chart, glyphs: Glyphs = UNICODE) -> Grid:
    """The chart with title, legend, axes and labels."""
    grid = Grid(width, height)
    columns, rows = room(width, height, len(shown.curves), bool(shown.hint))
    _title(grid, shown)
    if len(shown.curves) > 1:
        _legend(grid, shown)
    draw = stack if shown.stacked else plot
    drawing = draw(columns, rows, shown.curves, shown.scale, glyphs)
    top = 1 + (len(shown.curves) > 1)
    _letters(drawing, shown)
    _gaps(drawing, shown.curves, glyphs)
    _y_axis(grid, drawing, shown.scale, top, glyphs)
    seams = _seams(shown, columns)
    for column in seams:
        _down(drawing, column, glyphs.seam, Ink.FAINT)
    if shown.cursor is not None:
        _down(drawing, shown.cursor, glyphs.cross, Ink.TEXT)
    grid.paste(top, GUTTER, drawing)
    _x_axis(grid, top + rows, columns, shown)
    for column in seams:
        _beside(grid, top + rows, GUTTER + column, glyphs.restart)
    _hint(grid, shown.hint)
    return grid


def waiting(width: int, height: int, name: str, text: str) -> Grid:
    """A panel that has nothing to show yet, and says what it waits for."""
    grid = Grid(width, height)
    title(grid, name)
    if height > 1:
        text = fit(text, width)
        grid.put(height // 2, max((width - len(text)) // 2, 0), text, Ink.DIM)
    return grid


def above(curves: Sequence[Curve], scale: Scale) -> str:
    """What lies above the y axis, if something does."""
    highs = [float(np.nanmax(c.bands.high)) for c in curves if np.isfinite(c.bands.high).any()]
    top = max(highs, default=-math.inf)
    return f"first steps up to {number(top)}" if top > scale.top * (1 + 1e-9) else ""


def _title(grid: Grid, shown: Chart) -> None:
    value = shown.values[0] if len(shown.curves) == 1 and shown.values else ""
    note = shown.where or shown.note
    title(grid, shown.name, value, note)
    if shown.chosen:
        grid.inks[0, : len(shown.name)] = Ink.CURSOR


def _legend(grid: Grid, shown: Chart) -> None:
    """a first 1.23  b second 4.56; those that do not fit are counted."""
    column = GUTTER
    for n, curve in enumerate(shown.curves):
        value = shown.values[n] if n < len(shown.values) else ""
        rest = len(shown.curves) - n
        if column + 5 + len(curve.label) + len(value) > grid.width - 12 * (rest > 1):
            grid.put(1, column, f"and {rest} more", Ink.DIM)
            return
        column = grid.put(1, column, f"{letter(n)} ", curve.inks[1])
        column = grid.put(1, column, curve.label, Ink.DIM) + 1
        column = grid.put(1, column, value, Ink.TEXT) + 2


def _letters(drawing: Grid, shown: Chart) -> None:
    """The letter of each of several curves, where it ends."""
    if len(shown.curves) < 2 or shown.stacked:
        return
    for n, curve in reversed(list(enumerate(shown.curves))):
        last = np.flatnonzero(np.isfinite(curve.line[0]))
        if len(last):
            middle = (curve.line[0][last[-1:]] + curve.line[1][last[-1:]]) / 2
            row = int(shown.scale.rows(middle, 4 * drawing.height)[0]) // 4
            column = min(int(last[-1]) // 2 + 1, drawing.width - 1)
            drawing.put(row, column, letter(n), curve.inks[1])


def _gaps(drawing: Grid, curves: Sequence[Curve], glyphs: Glyphs) -> None:
    """A mark in the top row over every value that is no number."""
    for curve in curves:
        bad = np.flatnonzero(curve.bands.count > curve.bands.good) // 2
        bad = bad[bad < drawing.width]
        drawing.chars[0, bad], drawing.inks[0, bad] = ord(glyphs.gap), Ink.BAD


def _y_axis(grid: Grid, drawing: Grid, scale: Scale, top: int, glyphs: Glyphs) -> None:
    rows = scale.rows(np.array(scale.ticks), 4 * drawing.height) // 4
    for tick, row in zip(scale.ticks, rows.tolist(), strict=True):
        label = scale.label(tick)
        grid.put(row + top, GUTTER - 1 - len(label), label, Ink.DIM)
        bare = drawing.chars[row] == 32
        drawing.chars[row, bare] = ord(glyphs.across)
        drawing.inks[row, bare] = Ink.FAINT


def _down(drawing: Grid, column: int, char: str, ink: int) -> None:
    """A line from top to bottom behind what is drawn."""
    if 0 <= column < drawing.width:
        bare = (drawing.chars[:, column] == 32) | (drawing.inks[:, column] == Ink.FAINT)
        drawing.chars[bare, column] = ord(char)
        drawing.inks[bare, column] = ink


def _seams(shown: Chart, columns: int) -> list[int]:
    """The cells of the restarts that are seen."""
    places = [(at - shown.start) / (shown.end - shown.start) * columns for at in shown.restarts]
    return sorted({int(place) for place in places if 0 <= place < columns})


def _x_axis(grid: Grid, row: int, columns: int, shown: Chart) -> None:
    start, end = shown.start, shown.end
    grid.put(row, GUTTER - 5, _NAMES[shown.axis], Ink.FAINT)
    free = GUTTER
    for tick, label in x_ticks(shown.axis, start, end, columns):
        column = GUTTER + round((tick - start) / (end - start) * columns) - len(label) // 2
        column = min(column, grid.width - len(label))
        if column >= free:
            free = grid.put(row, column, label, Ink.DIM) + 1


def _beside(grid: Grid, row: int, column: int, char: str) -> None:
    """A mark on the axis, beside a label rather than over it."""
    while column < grid.width and row < grid.height and grid.chars[row, column] != 32:
        column += 1
    grid.put(row, column, char, Ink.WARN)


def _hint(grid: Grid, hint: Sequence[tuple[str, str]]) -> None:
    column = GUTTER
    for key, what in hint:
        if column + len(key) + len(what) + 1 > grid.width:
            return
        column = grid.put(grid.height - 1, column, key, Ink.KEY) + 1
        column = grid.put(grid.height - 1, column, what, Ink.DIM) + 2
