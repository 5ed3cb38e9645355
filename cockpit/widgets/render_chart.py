"""A line chart in braille dots: arrays in, grid out.

Shapes: C dot columns (two per cell), R dot rows (four per cell), row 0 at the top.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cockpit.series import Bands, Floats
from cockpit.widgets.grid import Grid, Ink, title
from cockpit.widgets.units import count as short_count
from cockpit.widgets.units import number

Rows = npt.NDArray[np.int64]
GUTTER = 7
"""Columns left of the plot, for the labels of the y axis."""
_BITS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]], np.uint32)
_TICKS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class Scale:
    """A y axis from bottom to top, with a tick every `step`."""

    bottom: float
    top: float
    step: float

    def ticks(self) -> list[float]:
        """The values to label, rising."""
        first, last = round(self.bottom / self.step), round(self.top / self.step)
        return [k * self.step for k in range(first, last + 1)]

    def holds(self, low: float, high: float) -> bool:
        """Whether a range lies inside and uses enough of the height to be left alone."""
        return (
            self.bottom <= low and high <= self.top and 2 * (high - low) >= self.top - self.bottom
        )


def nice_step(span: float, parts: int) -> float:
    """The smallest of 1, 2, 2.5, 5 × 10ᵏ that needs at most `parts` steps for a span."""
    raw = max(span, 1e-300) / max(parts, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    return next(factor * power for factor in _TICKS if factor * power >= raw * (1 - 1e-9))


def scale_for(low: float, high: float, rows: int, before: Scale | None = None) -> Scale:
    """The axis for a range on `rows` text rows: the one before if it will do (a chart that
    rescales at every step is unreadable), else round ends."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return before or Scale(0.0, 1.0, 0.5)
    if high - low < 1e-6 * max(abs(high), abs(low), 1e-12):
        pad = 0.05 * abs(high) if abs(high) > 1e-12 else 1.0
        low, high = low - pad, high + pad
    elif before and before.holds(low, high):
        return before
    step = nice_step(high - low, max(2, min(6, rows // 3)))
    return Scale(math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step, step)


def value_range(bands: Bands) -> tuple[float, float]:
    """What the y axis has to show: everything, but the first steps of a long run, whose height
    would press the rest flat; what is above is drawn at the edge."""
    filled = np.flatnonzero(np.isfinite(bands.high))
    if not len(filled):
        return math.nan, math.nan
    kept = filled[len(filled) // 25 :] if len(filled) >= 50 else filled
    return float(bands.low[kept].min()), float(bands.high[kept].max())


def joined(low: Floats, high: Floats, count: npt.NDArray[Any]) -> tuple[Floats, Floats]:
    """The bands, made one line: a column without a point lies between its neighbours, and a
    column reaches as far as the one before. A column of gaps alone stays empty and breaks it."""
    known = np.flatnonzero(count > 0)
    low, high = low.copy(), high.copy()
    if len(known) < 2:
        return low, high
    inside = np.arange(known[0], known[-1] + 1)
    middle = (low[known] + high[known]) / 2
    between = np.interp(inside, known, middle)  # NaN beside a gap: stays empty
    bare = inside[count[inside] == 0]
    low[bare] = high[bare] = between[bare - known[0]]
    above, below = low[1:] > high[:-1], high[1:] < low[:-1]
    reach = low.copy(), high.copy()
    reach[0][1:][above] = high[:-1][above]
    reach[1][1:][below] = low[:-1][below]
    return reach


def dot_rows(values: Floats, scale: Scale, rows: int) -> Rows:
    """The dot row of each value, those beyond the axis at its edge; −1 for NaN."""
    place = (scale.top - values) / (scale.top - scale.bottom) * (rows - 1)
    found = np.isfinite(place)
    inside = np.clip(np.rint(np.where(found, place, 0.0)), 0, rows - 1)
    return np.where(found, inside, -1).astype(np.int64)


def dots(first: Rows, last: Rows, rows: int) -> npt.NDArray[np.bool_]:
    """[R, C]: dots from row first to row last in each column, none where first is −1."""
    row = np.arange(rows)[:, None]
    return (row >= first) & (row <= last) & (first >= 0)


def braille(pattern: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint32]:
    """The characters [H, W] of a pattern of dots [4H, 2W]; a blank where there is no dot."""
    height, width = pattern.shape[0] // 4, pattern.shape[1] // 2
    cells = pattern.reshape(height, 4, width, 2) * _BITS[None, :, None, :]
    codes = cells.sum(axis=(1, 3), dtype=np.uint32)
    return np.where(codes > 0, codes + 0x2800, 32).astype(np.uint32)


@dataclass
class Curve:
    """A metric to draw: the band of all values, in 2 × width parts, and a smoothed line
    [2 × width], NaN where there is nothing to draw."""

    bands: Bands
    smooth: Floats
    inks: tuple[int, int] = (Ink.BAND, Ink.LINE)


def plot(width: int, height: int, curve: Curve, scale: Scale) -> Grid:
    """The drawing alone. A cell has one colour, so where the smoothed line runs the band gives
    way to it."""
    grid = Grid(width, height)
    rows, bands = 4 * height, curve.bands
    low, high = joined(bands.low, bands.high, bands.count)
    band = braille(dots(dot_rows(high, scale, rows), dot_rows(low, scale, rows), rows))
    low, high = joined(curve.smooth, curve.smooth, bands.count)
    line = braille(dots(dot_rows(high, scale, rows), dot_rows(low, scale, rows), rows))
    grid.chars = np.where(line != 32, line, band)
    inks = np.where(line != 32, curve.inks[1], np.where(band != 32, curve.inks[0], 0))
    grid.inks = inks.astype(np.uint8)
    return grid


@dataclass
class Chart:
    """All that a chart shows. value is the newest figure, for the title; gaps counts values that
    are no numbers; restarts are the steps after which a later attempt went on."""

    name: str
    curve: Curve
    scale: Scale
    value: float | None = None
    gaps: int = 0
    restarts: tuple[int, ...] = ()


def chart(width: int, height: int, shown: Chart) -> Grid:
    """The chart with title, axes and labels."""
    grid = Grid(width, height)
    _title(grid, shown)
    inner = Grid(max(width - GUTTER - 1, 1), max(height - 2, 1))
    drawing = plot(inner.width, inner.height, shown.curve, shown.scale)
    _y_axis(grid, drawing, shown.scale)
    grid.paste(1, GUTTER, drawing)
    _x_axis(grid, inner.width, shown)
    return grid


def waiting(width: int, height: int, name: str, text: str) -> Grid:
    """A panel that has nothing to show yet, and says what it waits for."""
    grid = Grid(width, height)
    title(grid, name)
    if height > 1:
        grid.put(height // 2, max((width - len(text)) // 2, 0), text, Ink.DIM)
    return grid


def _title(grid: Grid, shown: Chart) -> None:
    known = shown.curve.smooth[np.isfinite(shown.curve.smooth)]
    notes = [f"smoothed {number(float(known[-1]))}"] if len(known) else []
    if shown.gaps:
        notes.append(f"{shown.gaps} not finite")
    high = shown.curve.bands.high
    top = np.nanmax(high) if np.isfinite(high).any() else -math.inf
    if top > shown.scale.top:
        notes.append(f"first steps up to {number(float(top))}")
    title(grid, shown.name, number(shown.value), " · ".join(notes))


def tick_label(value: float, step: float) -> str:
    """A label with as many decimals as ticks that far apart need."""
    if step >= 1000:
        return short_count(value).replace(".00", "")
    places = max(0, -math.floor(math.log10(step) + 1e-9))
    if abs(step * 10**places - round(step * 10**places)) > 1e-6:
        places += 1  # 2.5 or 0.25
    label = f"{value:.{places}f}"
    return label if len(label) < GUTTER else f"{value:.1e}".replace("e-0", "e-").replace("e+0", "e")


def _y_axis(grid: Grid, drawing: Grid, scale: Scale) -> None:
    ticks = scale.ticks()
    rows = dot_rows(np.array(ticks), scale, 4 * drawing.height) // 4
    for tick, row in zip(ticks, rows.tolist(), strict=True):
        label = tick_label(tick, scale.step)
        grid.put(row + 1, GUTTER - 1 - len(label), label, Ink.DIM)
        bare = drawing.chars[row] == 32
        drawing.chars[row, bare] = ord("┈")
        drawing.inks[row, bare] = Ink.FAINT


def _x_axis(grid: Grid, width: int, shown: Chart) -> None:
    row, start, end = grid.height - 1, shown.curve.bands.start, shown.curve.bands.end
    step = max(nice_step(end - start, max(2, width // 14)), 1.0)
    grid.put(row, GUTTER - 5, "step", Ink.FAINT)
    for tick in np.arange(math.ceil(start / step) * step, end * (1 + 1e-9), step):
        label = short_count(tick) if tick < 1e4 or tick % 1000 else f"{tick / 1000:,.0f}k"
        column = GUTTER + round((tick - start) / (end - start) * width) - len(label) // 2
        column = min(column, grid.width - len(label))
        if column > GUTTER - 1:
            grid.put(row, column, label, Ink.DIM)
    for restart in shown.restarts:
        column = GUTTER + int((restart - start) / (end - start) * width)
        while column < grid.width and grid.chars[row, column] != 32:
            column += 1  # beside a label rather than over it
        if column >= GUTTER:
            grid.put(row, column, "↻", Ink.WARN)
