"""A terminal of the simplest kind: cells, moves, colours. What it is not told of is an error."""

from __future__ import annotations

import re

from cockpit.sgr import PLAIN, Look, after, blank

_PIECES = re.compile(
    r"\x1b\[([0-9;?<>=]*)([ -/]?[@-~])|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\r|\n|[^\x1b\r\n]"
)


class Emulator:
    """cells are (character, look); touched is where something was written since it was cleared."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.cells = [[("?", PLAIN)] * width for _ in range(height)]
        self.touched: set[tuple[int, int]] = set()
        self.look = PLAIN
        self.row = self.column = 0

    def feed(self, text: str) -> None:
        """Take what a program writes."""
        at = 0
        for piece in _PIECES.finditer(text):
            assert piece.start() == at, f"not understood: {text[at : piece.start()][:50]!r}"
            at = piece.end()
            if piece[2]:
                self._order(piece[1], piece[2])
            elif piece[0] == "\r":
                self.column = 0
            elif piece[0] == "\n":
                self.row = min(self.row + 1, self.height - 1)
            elif not piece[0].startswith("\x1b]"):
                self._put(piece[0])
        assert at == len(text), f"not understood: {text[at:]!r}"

    def _order(self, parameters: str, name: str) -> None:
        if name == "m":
            look = after(self.look, parameters)
            assert look is not None, parameters
            self.look = look
        elif name == "H":
            row, _, column = parameters.partition(";")
            self.row, self.column = int(row or 1) - 1, int(column or 1) - 1
        elif name == "C":
            assert self.column < self.width, "a step from behind the last column"
            self.column += int(parameters or 1)
        else:
            assert name in ("h", "l", "u", "$p"), f"{parameters} {name}"  # modes and questions

    def _put(self, char: str) -> None:
        assert self.row < self.height and self.column < self.width, "written beyond an edge"
        self.cells[self.row][self.column] = (char, self.look)
        self.touched.add((self.row, self.column))
        self.column += 1

    def seen(self) -> list[list[tuple[str, Look]]]:
        """The cells as an eye sees them: of a blank, not in which colour text would be."""
        return [[(c, blank(look) if c == " " else look) for c, look in row] for row in self.cells]

    def lines(self) -> list[str]:
        """The characters."""
        return ["".join(char for char, _ in row).rstrip() for row in self.cells]
