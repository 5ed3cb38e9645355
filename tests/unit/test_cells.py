"""One character a cell, whatever a log or a name holds."""

import ctypes
import locale
import unicodedata

import pytest
from wcwidth import wcwidth

from cockpit.widgets.grid import Grid, cells_of, decode

ALL = [chr(code) for code in range(0x20, 0x110000) if not 0xD800 <= code < 0xE000]


def test_every_character_becomes_one_of_one_cell_or_none() -> None:
    """As Unicode says, and as the C library does, which is what most terminals ask."""
    before = locale.setlocale(locale.LC_CTYPE)
    locale.setlocale(locale.LC_CTYPE, "C.UTF-8")
    try:
        width = ctypes.CDLL(None).wcwidth
        for char in ALL:
            shown = decode(cells_of(char))
            assert len(shown) <= 1
            if shown and not shown.isascii():
                assert wcwidth(shown) == 1, f"U+{ord(char):04X}"
                known = unicodedata.category(shown) != "Cn"
                assert not known or width(ord(shown)) in (1, -1), f"U+{ord(char):04X}"
    finally:
        locale.setlocale(locale.LC_CTYPE, before)


@pytest.mark.parametrize(
    ("text", "shown"),
    [("ทที่ end", "ทท end"), ("क्या", "कय?"), ("🇫🇷 1", "?? 1"), ("漢 a", "? a"), ("é e\u0301", "é e")],
)
def test_what_stands_for_scripts_that_join(text: str, shown: str) -> None:
    grid = Grid(20, 1)
    grid.put(0, 0, text)
    assert grid.lines() == [shown]
