"""One line of text that is being typed. No Textual here: screens pass it their keys."""

from __future__ import annotations

from cockpit.widgets.grid import Grid, Ink


class LineEdit:
    """The text and where the next character goes."""

    def __init__(self, text: str = "") -> None:
        self.text, self.cursor = text, len(text)

    def insert(self, text: str) -> None:
        """Put a text at the cursor; of several lines the first."""
        line = "".join(char for char in text.split("\n", maxsplit=1)[0] if char.isprintable())
        self.text = self.text[: self.cursor] + line + self.text[self.cursor :]
        self.cursor += len(line)

    def key(self, key: str, character: str | None = None) -> bool:
        """A key, by Textual's name; whether it was one for a line of text."""
        text, at = self.text, self.cursor
        match key:
            case "backspace" if at:
                self.text, self.cursor = text[: at - 1] + text[at:], at - 1
            case "delete" | "ctrl+d":
                self.text = text[:at] + text[at + 1 :]
            case "ctrl+u":
                self.text, self.cursor = text[at:], 0
            case "ctrl+k":
                self.text = text[:at]
            case "ctrl+w":
                start = text[:at].rstrip().rfind(" ") + 1
                self.text, self.cursor = text[:start] + text[at:], start
            case _:
                return self._move(key) or self._type(character)
        return True

    def _move(self, key: str) -> bool:
        moves = {
            "left": self.cursor - 1, "right": self.cursor + 1, "backspace": 0,
            "home": 0, "ctrl+a": 0, "end": len(self.text), "ctrl+e": len(self.text),
        }  # fmt: skip
        if key not in moves:
            return False
        self.cursor = max(0, min(moves[key], len(self.text)))
        return True

    def _type(self, character: str | None) -> bool:
        if not character or not character.isprintable():
            return False
        self.insert(character)
        return True

    def draw(self, grid: Grid, row: int, column: int, width: int, ink: int = Ink.TEXT) -> None:
        """Put the text, and a block where the cursor is, into width columns of a row."""
        start = max(0, self.cursor - width + 1)
        shown = self.text[start : start + width]
        grid.put(row, column, shown.ljust(width)[:width], ink)
        at = self.cursor - start
        grid.put(row, column + at, shown[at : at + 1] or " ", Ink.CURSOR)
