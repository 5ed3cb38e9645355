"""Frames: what the whole terminal shows, and the bytes from one to the next. No Textual here.

A frame is the grids of all panels on one. It is compared cell by cell with the frame before, and
only the cells that look otherwise are sent, with as few moves and colours as that takes.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cockpit.sgr import PLAIN, blank, change
from cockpit.widgets.grid import Grid, Ink, decode, runs
from cockpit.widgets.palette import Looks

_BLANK = 32
_BRIDGE = 3
"""Cells that look the same between two that do not: so many are sent again, in fewer bytes than it
takes to step over them."""


def finished(grid: Grid, looks: Looks) -> Grid:
    """A frame as it is compared and sent: blanks of different inks that look the same have one ink,
    and cells of a map have the characters of their levels where colours cannot tell them."""
    done = Grid(0, 0)
    chars, inks = grid.chars, grid.inks
    if looks.ramp:
        shades = np.full(256, _BLANK, np.uint32)
        shades[Ink.HEAT : Ink.HEAT + len(looks.ramp)] = [ord(shade) for shade in looks.ramp]
        chars = np.where(chars == _BLANK, shades[inks], chars)
    done.chars, done.inks = chars, np.where(chars == _BLANK, looks.same[inks], inks)
    return done


def changed(old: Grid | None, new: Grid) -> npt.NDArray[np.bool_]:
    """Which cells of finished frames differ [H, W]; all, where they are of different sizes."""
    if old is None or old.chars.shape != new.chars.shape:
        return np.ones(new.chars.shape, np.bool_)
    differs: npt.NDArray[np.bool_] = (old.chars != new.chars) | (old.inks != new.inks)
    return differs


def sequence(new: Grid, cells: npt.NDArray[np.bool_], looks: Looks) -> str:
    """What brings these cells [H, W] of a finished frame onto the terminal. It expects and leaves
    the terminal's own colours; where the cursor is at first does not matter."""
    pen = _Pen(looks)
    for row in np.flatnonzero(cells.any(axis=1)).tolist():
        text, inks = decode(new.chars[row]), new.inks[row]
        for start, end in _spans(cells[row]):
            pen.move(row, start)
            pen.write(text[start:end], inks[start:end])
    return pen.done()


def _spans(cells: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """From where to where cells of a row are sent."""
    at = np.flatnonzero(cells)
    breaks = np.flatnonzero(np.diff(at) > _BRIDGE + 1)
    starts, ends = at[np.r_[0, breaks + 1]], at[np.r_[breaks, -1]] + 1
    return list(zip(starts.tolist(), ends.tolist(), strict=True))


class _Pen:
    """Where the cursor is, and in which look it writes."""

    def __init__(self, looks: Looks) -> None:
        self._looks, self._blanks = looks.looks, looks.blanks
        self._parts: list[str] = []
        self._now = PLAIN
        self._row = self._column = -1

    def move(self, row: int, column: int) -> None:
        """To a cell."""
        if column == 0:
            self._parts.append("\r\n" if row == self._row + 1 > 0 else f"\x1b[{row + 1}H")
        elif row == self._row:
            self._parts.append(f"\x1b[{column - self._column}C")
        else:
            self._parts.append(f"\x1b[{row + 1};{column + 1}H")
        self._row, self._column = row, column

    def write(self, text: str, inks: npt.NDArray[np.uint8]) -> None:
        """Cells of a row, from where the cursor is."""
        for first, last in runs(inks):
            self._run(text[first:last], int(inks[first]))
        self._column += len(text)

    def _run(self, text: str, ink: int) -> None:
        look = self._looks[ink]
        if look != self._now and not (text.isspace() and self._blanks[ink] == blank(self._now)):
            self._parts.append(change(self._now, look))
            self._now = look
        self._parts.append(text)

    def done(self) -> str:
        """All that was written, and the terminal's own colours again."""
        if self._now != PLAIN:
            self._parts.append("\x1b[m")
        return "".join(self._parts)
