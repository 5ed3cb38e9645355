"""The characters that charts are drawn with, in one table for each kind of terminal.

A cell of a plot has eight dots, two across and four down. They are kept as bits, numbered as in a
braille character: 1, 2, 4, 64 down the left side, 8, 16, 32, 128 down the right.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

BITS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]], np.uint8)
"""The bit of each dot [4, 2]."""
TEXTURES = np.array([0xFF, 0x95, 0x47, 0x2D, 0x11, 0xB8, 0xD2, 0x40], np.uint8)
"""The dots of an area: neighbours in a stack can be told apart without colour."""


@dataclass(frozen=True)
class Glyphs:
    """cells: the character [256] of each pattern of dots; band: those dots of a band that are
    drawn, fewer where no colour tells it from the line in it; letters: whether areas are filled
    with their curve's letter rather than a texture. The others: a line across at a labelled
    value, a line down at the crosshair, one at a restart, a restart on the axis, and values that
    are no numbers."""

    cells: npt.NDArray[np.uint32]
    band: int
    letters: bool
    across: str
    cross: str
    seam: str
    restart: str
    gap: str


def _braille() -> npt.NDArray[np.uint32]:
    cells = np.arange(256, dtype=np.uint32) + 0x2800
    cells[0] = 32
    return cells


def _ascii() -> npt.NDArray[np.uint32]:
    """By the rows that have a dot, from the top."""
    by_rows = {
        0b0001: "'", 0b0010: "`", 0b0100: "-", 0b1000: ".", 0b0011: '"', 0b0110: "-", 0b1100: ",",
        0b0101: ":", 0b1010: ":", 0b1001: ":", 0b0000: " ",
    }  # fmt: skip
    cells = np.empty(256, np.uint32)
    for bits in range(256):
        rows = sum(1 << row for row in range(4) if bits & int(BITS[row, 0] | BITS[row, 1]))
        wide = any(bits & int(b) for b in BITS[:, 0]) and any(bits & int(b) for b in BITS[:, 1])
        tall = "#" if wide and bits.bit_count() > 5 else "|"
        cells[bits] = ord(by_rows.get(rows, tall))
    return cells


UNICODE = Glyphs(_braille(), 0xFF, False, "┈", "┊", "╎", "↻", "✕")
COLOURLESS = replace(UNICODE, band=0x95)
ASCII = Glyphs(_ascii(), 0xD2, True, ".", "|", "!", "R", "x")
