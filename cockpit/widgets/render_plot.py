"""The inside of a chart, as dots: arrays in, grid out.

Shapes: C dot columns (two per cell), R dot rows (four per cell), row 0 at the top; H × W cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cockpit.decimate import Bands, Floats, smoothed
from cockpit.widgets.glyphs import BITS, TEXTURES, UNICODE, Glyphs
from cockpit.widgets.grid import Grid, Ink
from cockpit.widgets.render_axes import Rows, Scale

Bits = npt.NDArray[np.uint8]


@dataclass
class Curve:
    """One line of a chart, cut to what is seen. bands are the numbers in each of its columns [C];
    smooth [C] is NaN where there is none; band and line are what is drawn, from low to high [C],
    joined to be without holes; a curve without a band has None."""

    label: str
    bands: Bands
    smooth: Floats
    line: tuple[Floats, Floats]
    band: tuple[Floats, Floats] | None = None
    inks: tuple[int, int] = (Ink.BAND, Ink.LINE)


def curve_of(
    label: str, bands: Bands, seen: tuple[int, int], half_life: float, raw: bool = False,
    inks: tuple[int, int] = (Ink.BAND, Ink.LINE), with_band: bool = True,
) -> Curve:  # fmt: skip
    """The curve of some bands, of which columns seen[0] … seen[1] − 1 are shown: those beside them
    say how it comes in and goes out. A raw curve, or one that is not smoothed, is a line from
    the lowest to the highest of each column."""
    cut = slice(*seen)
    smooth = bands.means() if raw else smoothed(bands, half_life)
    every = joined(bands.low, bands.high, bands.count)
    shown = (every[0][cut], every[1][cut])
    if raw or half_life <= 0:
        return Curve(label, bands.part(*seen), smooth[cut], shown, None, inks)
    line = joined(smooth, smooth, bands.count)
    return Curve(
        label, bands.part(*seen), smooth[cut], (line[0][cut], line[1][cut]),
        shown if with_band else None, inks,
    )  # fmt: skip


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


def dots(first: Rows, last: Rows, rows: int) -> npt.NDArray[np.bool_]:
    """[R, C]: dots from row first to row last in each column, none where first is −1."""
    row = np.arange(rows)[:, None]
    return (row >= first) & (row <= last) & (first >= 0)


def bits_of(pattern: npt.NDArray[np.bool_]) -> Bits:
    """The dots [4H, 2W] of each cell as bits [H, W]."""
    height, width = pattern.shape[0] // 4, pattern.shape[1] // 2
    cells = pattern.reshape(height, 4, width, 2) * BITS[None, :, None, :]
    bits: Bits = cells.sum(axis=(1, 3), dtype=np.uint8)
    return bits


def between(reach: tuple[Floats, Floats], scale: Scale, rows: int) -> Bits:
    """The bits of the dots from low to high in each column."""
    low, high = reach
    return bits_of(dots(scale.rows(high, rows), scale.rows(low, rows), rows))


def plot(
    width: int, height: int, curves: Sequence[Curve], scale: Scale, glyphs: Glyphs = UNICODE
) -> Grid:
    """The curves alone. A cell has one colour: bands give way to lines, and where lines meet the
    dots of all are drawn in the ink of the foremost, which is the first."""
    grid = Grid(width, height)
    rows = 4 * height
    bits = np.zeros((height, width), np.uint8)
    for curve in reversed(curves):
        if curve.band is not None:
            band = between(curve.band, scale, rows) & np.uint8(glyphs.band)
            _over(bits, grid.inks, band, curve.inks[0])
    lines = np.zeros_like(bits)
    for curve in reversed(curves):
        line = between(curve.line, scale, rows)
        lines |= line
        grid.inks[line > 0] = curve.inks[1]
    bits = np.where(lines > 0, lines, bits)
    grid.chars = glyphs.cells[bits]
    return grid


def _over(bits: Bits, inks: npt.NDArray[np.uint8], more: Bits, ink: int) -> None:
    drawn = more > 0
    bits[drawn] = more[drawn]
    inks[drawn] = ink


def heights(curves: Sequence[Curve]) -> Floats:
    """The tops of the areas of a stack [K, C], the first at the bottom. A column without a point
    is as its neighbours; before the first and after the last there is nothing (NaN)."""
    means = np.array([curve.bands.means() for curve in curves])
    columns = np.arange(means.shape[1])
    some = np.flatnonzero(np.isfinite(means).any(axis=0))
    if not len(some):
        return np.full(means.shape, np.nan)
    kept = np.nan_to_num(means[:, some])
    filled = np.array([np.interp(columns, some, row) for row in kept])
    filled[:, (columns < some[0]) | (columns > some[-1])] = np.nan
    return np.cumsum(filled, axis=0)


def stack(
    width: int, height: int, curves: Sequence[Curve], scale: Scale, glyphs: Glyphs = UNICODE
) -> Grid:
    """Areas on top of each other, each in its ink and its texture; a cell that several share has
    the ink of the one with most of its dots."""
    grid = Grid(width, height)
    rows = 4 * height
    row = np.arange(rows)[:, None]
    tops = heights(curves)
    owner = np.full((rows, 2 * width), -1)
    for number in reversed(range(len(curves))):
        top = scale.rows(tops[number], rows)
        owner[(row >= top) & (top >= 0)] = number
    bits = np.zeros((height, width), np.uint8)
    most = np.zeros((height, width), np.int64)
    for number, curve in enumerate(curves):
        own = owner == number
        texture = 0xFF if glyphs.letters else TEXTURES[number % len(TEXTURES)]
        bits |= bits_of(own) & np.uint8(texture)
        size = own.reshape(height, 4, width, 2).sum(axis=(1, 3))
        grid.inks[size > most] = curve.inks[1]
        if glyphs.letters:
            grid.chars[size > most] = ord(letter(number))
        most = np.maximum(most, size)
    if not glyphs.letters:
        grid.chars = glyphs.cells[bits]
    return grid


def letter(number: int) -> str:
    """What a curve is called in a chart that has several: a, b, c …"""
    return chr(ord("a") + number % 26)
