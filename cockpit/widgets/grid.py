"""What a panel shows, as two arrays: a character and an ink per cell. No Textual here.

Renderers are functions from values to a Grid; a Canvas puts the cells that changed on screen.
Shapes: [H, W], rows by columns.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from enum import IntEnum, auto
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt


class Ink(IntEnum):
    """What a cell means; the palette says how that looks."""

    TEXT = 0
    STRONG = auto()
    DIM = auto()
    FAINT = auto()
    TITLE = auto()
    RULE = auto()
    GOOD = auto()
    BUSY = auto()
    WARN = auto()
    BAD = auto()
    KEY = auto()
    CURSOR = auto()
    POINTER = auto()
    STUCK = auto()
    CURSOR_DIM = auto()
    LINE = auto()
    BAND = auto()
    SECOND = auto()
    SECOND_BAND = auto()
    CURVE = auto()
    """The first of the eight curves of a chart that has several: CURVE + number."""
    CURVE_1 = auto()
    CURVE_2 = auto()
    CURVE_3 = auto()
    CURVE_4 = auto()
    CURVE_5 = auto()
    CURVE_6 = auto()
    CURVE_7 = auto()
    TRACK = auto()
    FILL = auto()
    FILL_SOFT = auto()
    COLD_TEXT = auto()
    HOT_TEXT = auto()
    HEAT = auto()
    """The first of the heat levels: HEAT + level. Keep last."""


class Grid:
    """A rectangle of cells. What is put beyond its edges is cut off."""

    def __init__(self, width: int, height: int) -> None:
        shape = max(height, 0), max(width, 0)
        self.chars: npt.NDArray[np.uint32] = np.full(shape, 32, np.uint32)
        self.inks: npt.NDArray[np.uint8] = np.zeros(shape, np.uint8)

    @property
    def width(self) -> int:
        """Columns."""
        return int(self.chars.shape[1])

    @property
    def height(self) -> int:
        """Rows."""
        return int(self.chars.shape[0])

    def put(self, row: int, column: int, text: str, ink: int = Ink.TEXT) -> int:
        """Write a text from a column on; returns the column behind it."""
        cells = cells_of(text)
        end = column + len(cells)
        if 0 <= row < self.height and column < self.width and end > 0:
            first, last = max(column, 0), min(end, self.width)
            self.chars[row, first:last] = cells[first - column : last - column]
            self.inks[row, first:last] = ink
        return end

    def put_right(self, row: int, text: str, ink: int = Ink.TEXT, margin: int = 0) -> int:
        """Write a text that ends at the right edge; returns the column where it starts."""
        start = self.width - margin - len(cells_of(text))
        self.put(row, start, text, ink)
        return start

    def paste(self, row: int, column: int, other: Grid) -> None:
        """Put another grid over this one, its upper left corner at row and column (not < 0)."""
        rows = min(other.height, self.height - row)
        columns = min(other.width, self.width - column)
        if rows > 0 and columns > 0:
            to = (slice(row, row + rows), slice(column, column + columns))
            self.chars[to] = other.chars[:rows, :columns]
            self.inks[to] = other.inks[:rows, :columns]

    def text(self, row: int) -> str:
        """The characters of one row."""
        return decode(self.chars[row])

    def lines(self) -> list[str]:
        """The characters of all rows, without blanks at the ends."""
        return [self.text(row).rstrip() for row in range(self.height)]


def title(grid: Grid, text: str, value: str = "", note: str = "") -> None:
    """The panel's first row: its name, a hairline, and at the right a value and a note on it."""
    column = grid.put(0, 0, text, Ink.TITLE) + 1
    room = grid.width - column - 2
    if note and len(note) + len(value) + 3 > room:
        note = ""
    end = grid.width
    if note:
        end = grid.put_right(0, note, Ink.DIM) - 1
    if value:
        end -= len(cells_of(value))
        grid.put(0, end, value, Ink.STRONG)
        end -= 1
    if end > column:
        grid.put(0, column, "─" * (end - column), Ink.RULE)


def fit(text: str, width: int) -> str:
    """The text, shortened with … where it is longer than width."""
    if len(text) <= width:
        return text
    return text[: max(width - 1, 0)] + "…" if width > 0 else ""


@lru_cache(4096)
def cells_of(text: str) -> npt.NDArray[np.uint32]:
    """One code point per cell. Control, zero-width and double-width characters become `?`, or
    vanish if they only modify: a log line cannot move the cursor or shift a column."""
    if not (text.isascii() and text.isprintable()):
        text = "".join(_single(char) for char in text)
    return np.frombuffer(text.encode("utf-32-le"), np.uint32)


_UNSURE = (
    *(("\u1160", "\u11ff"), ("\ud7b0", "\ud7ff")),  # parts of Korean syllables: of no width
    ("\uffa0", "\uffa0"),
    *(("\u2630", "\u2637"), ("\u268a", "\u268f")),  # two cells since Unicode 16, one before
    ("\U0001d300", "\U0001d376"),
    *(("\u3248", "\u324f"), ("\u4dc0", "\u4dff")),  # two cells for the C library, one for Unicode
    ("\U0001f1e6", "\U0001f1ff"),  # flags: each half one cell, both together two
)
"""Characters whose width terminals do not agree about, or that join others."""


def _single(char: str) -> str:
    category = unicodedata.category(char)
    if category in ("Mn", "Me") or char in "\u200b\u200c\u200d\ufe0e\ufe0f":
        return ""
    if category == "Mc" or any(first <= char <= last for first, last in _UNSURE):
        return "?"
    if category == "Zs" or char == "\t":
        return " "
    if category[0] == "C" or category in ("Zl", "Zp"):
        return "?"
    return "?" if unicodedata.east_asian_width(char) in "WF" else char


def runs(inks: npt.NDArray[np.uint8]) -> Iterator[tuple[int, int]]:
    """From where to where cells of a row [W] are of one ink; nothing of a row without cells."""
    edges = (np.flatnonzero(np.diff(inks)) + 1).tolist()
    return pairwise([0, *edges, len(inks)] if len(inks) else [])


def decode(chars: npt.NDArray[Any]) -> str:
    """The text of some cells."""
    return chars.astype("<u4").tobytes().decode("utf-32-le")
