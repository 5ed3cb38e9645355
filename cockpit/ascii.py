"""Characters for terminals that have none but those of ASCII. No Textual here.

Each takes as many cells as what it stands for, so that nothing moves; what has to be told apart in
one place (the parts of a bar, the marks of a map, of events and states) stays so.
"""

from __future__ import annotations

import unicodedata

_CHOSEN = {
    # Parts of bars, shades of maps, columns and lengths in eighths.
    "█": "#", "▓": "%", "▒": "=", "░": ":", "·": ".", "≈": "~", "×": "x",
    "▁": "_", "▂": ".", "▃": "-", "▄": "=", "▅": "+", "▆": "*", "▇": "%",
    "▏": ".", "▎": ":", "▍": "-", "▌": "=", "▋": "+", "▊": "*", "▉": "%",
    # Marks.
    "✕": "x", "✗": "X", "✓": "+", "▽": "v", "▲": "^", "Ø": "0", "↻": "R", "◌": "o", "●": "@",
    "◆": "*", "◇": "%", "■": "#", "▶": ">", "▸": ">", "▴": "^", "•": "*", "‖": "|",
    "↑": "^", "↓": "v", "←": "<", "→": ">", "↗": "/", "↘": "\\", "›": ">", "‹": "<",
    # Words.
    "…": "~", "–": "-", "—": "-", "−": "-", "≤": "<", "≥": ">", "°": "'", "⁵": "5", "ᵏ": "k",
    "⅛": "<", "’": "'", "“": '"', "”": '"',
    "\u00a0": " ", "\u2800": " ",
}  # fmt: skip


class _Table(dict[int, str]):
    """Decides about a character when it is first seen."""

    def __missing__(self, code: int) -> str:
        self[code] = found = _stand_in(chr(code)) if code > 127 else chr(code)
        return found


def _stand_in(char: str) -> str:
    if 0x2500 <= ord(char) <= 0x257F:
        return _line(unicodedata.name(char))
    if 0x2800 <= ord(char) <= 0x28FF:
        return ":"
    if unicodedata.combining(char) or char in "\u200b\u200c\u200d\ufe0e\ufe0f":
        return ""
    if unicodedata.east_asian_width(char) in "WF":
        return "? "
    letter = unicodedata.normalize("NFKD", char)[0]
    return letter if letter.isascii() and letter.isprintable() else "?"


def _line(name: str) -> str:
    """One of the characters of lines and boxes."""
    across = "HORIZONTAL" in name or "LEFT" in name or "RIGHT" in name
    down = "VERTICAL" in name or "UP" in name or "DOWN" in name
    if (across and down) or "ARC" in name or "DIAGONAL" in name:
        return "+"
    return "|" if down else "=" if "HEAVY" in name or "DOUBLE" in name else "-"


_TABLE = _Table({ord(char): stand_in for char, stand_in in _CHOSEN.items()})


def plain(text: str) -> str:
    """The text in ASCII, in as many cells. Control sequences stay what they are."""
    return text if text.isascii() else text.translate(_TABLE)
