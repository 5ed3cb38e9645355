"""Bars of several parts. Each part has a glyph of its own: colour is not what tells them apart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum

from cockpit.widgets.grid import Grid, Ink


class Part(Enum):
    """What holds a stretch of a bar: its name, glyph and ink."""

    ALLOCATED = ("allocated", "█", Ink.FILL)
    RESERVED = ("reserved", "▓", Ink.FILL_SOFT)
    CUDA = ("CUDA", "▒", Ink.SECOND)
    OTHER = ("other", "░", Ink.LINE)
    FREE = ("free", "·", Ink.FAINT)
    PEAK = ("peak", "│", Ink.STRONG)
    # What a step's time went into.
    DATA = ("data", "░", Ink.DIM)
    FORWARD = ("forward", "█", Ink.FILL)
    BACKWARD = ("backward", "▓", Ink.BAND)
    OPTIMIZER = ("optimizer", "▒", Ink.SECOND)
    COMMUNICATION = ("communication", "≈", Ink.KEY)
    OFFLOAD = ("offload", "×", Ink.LINE)
    CHECKPOINT = ("checkpoint", "+", Ink.BUSY)
    REST = ("rest", "·", Ink.FAINT)

    def __init__(self, title: str, glyph: str, ink: Ink) -> None:
        self.title, self.glyph, self.ink = title, glyph, ink


def lengths(sizes: Sequence[float], total: float, width: int) -> list[int]:
    """Cells of each part of a bar whose width stands for total. Together they are as many as the
    sum of the sizes makes, and what is not nothing has a cell of its own while there are any."""
    if total <= 0 or width <= 0:
        return [0] * len(sizes)
    exact = [max(size, 0) / total * width for size in sizes]
    cells = [int(length) for length in exact]
    room = min(round(sum(exact)), width)
    some = sum(length > 0 for length in exact)
    room = max(room, min(some, width))
    cells = [max(n, int(length > 0)) for n, length in zip(cells, exact, strict=True)]
    while sum(cells) > room:
        cells[max(range(len(cells)), key=lambda n: (cells[n] > 1, cells[n] - exact[n]))] -= 1
    while sum(cells) < room:
        cells[max(range(len(cells)), key=lambda n: exact[n] - cells[n])] += 1
    return cells


def bar(
    grid: Grid, row: int, column: int, width: int,
    parts: Iterable[tuple[Part, float]], total: float, peak: float | None = None,
    ink: Ink | None = None,
) -> int:  # fmt: skip
    """Draw parts from the left, and what is free; returns the column behind it. peak marks how far
    the first part once reached; ink takes the place of the first part's own."""
    parts = list(parts)
    end = column + width
    start = column
    cells = lengths([size for _, size in parts], total, width)
    for n, ((part, _), length) in enumerate(zip(parts, cells, strict=True)):
        own = ink if ink is not None and n == 0 else part.ink
        column = grid.put(row, column, part.glyph * length, own)
    grid.put(row, column, Part.FREE.glyph * (end - column), Part.FREE.ink)
    if peak is not None and total > 0 and cells:
        at = min(int(peak / total * width), width - 1)
        if at >= cells[0]:
            grid.put(row, start + at, Part.PEAK.glyph, Part.PEAK.ink)
    return end
