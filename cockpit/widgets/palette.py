"""How inks look: one table of colours, taken from the 256 that every terminal has had for decades
(a colour of these costs half the bytes of a free one, and looks the same with and without true
colour)."""

from __future__ import annotations

from functools import lru_cache

from rich.color import Color
from rich.style import Style

from cockpit.widgets.glyphs import UNICODE, Glyphs
from cockpit.widgets.grid import Ink

CHARTS: Glyphs = UNICODE
"""What charts are drawn with; glyphs.COLOURLESS and glyphs.ASCII are for terminals with less."""
BACKGROUND = 233
_PLAIN: dict[int, tuple[int, str]] = {
    Ink.TEXT: (252, ""),
    Ink.STRONG: (231, "b"),
    Ink.DIM: (246, ""),
    Ink.FAINT: (238, ""),
    Ink.TITLE: (117, "b"),
    Ink.RULE: (237, ""),
    Ink.GOOD: (114, ""),
    Ink.BUSY: (117, ""),
    Ink.WARN: (221, ""),
    Ink.BAD: (210, "b"),
    Ink.KEY: (223, "b"),
    Ink.LINE: (215, ""),
    Ink.BAND: (67, ""),
    Ink.SECOND: (150, ""),
    Ink.SECOND_BAND: (65, ""),
    # Told apart without seeing red or green: neighbours differ in lightness too. Every curve also
    # has a letter, every area a texture.
    Ink.CURVE: (215, ""),
    Ink.CURVE_1: (75, ""),
    Ink.CURVE_2: (229, ""),
    Ink.CURVE_3: (36, ""),
    Ink.CURVE_4: (182, ""),
    Ink.CURVE_5: (166, ""),
    Ink.CURVE_6: (152, ""),
    Ink.CURVE_7: (98, ""),
    Ink.TRACK: (237, ""),
    Ink.FILL: (74, ""),
    Ink.FILL_SOFT: (24, ""),
    Ink.COLD_TEXT: (75, "b"),
    Ink.HOT_TEXT: (209, "b"),
}
_ON: dict[int, tuple[int, int, str]] = {
    Ink.CURSOR: (231, 24, "b"),
    Ink.CURSOR_DIM: (252, 24, ""),
    Ink.POINTER: (16, 231, "b"),
    Ink.STUCK: (16, 220, "b"),
}
# What marks a cell of a map besides its colour. Renderers write these; a terminal that lacks them
# gets others where cells become text.
DEAD, COLD, HOT, STUCK, ALARM, NOTHING = "✕", "▽", "▲", "Ø", "!", "·"
RISING, FALLING, STEADY = "↗", "↘", "→"
RISE = "▁▂▃▄▅▆▇█"
"""A column's height in eighths."""
RUN = "▏▎▍▌▋▊▉█"
"""A bar's length in eighths."""
# Blue under the uniform share, red over it, near the background where it is even. The ends differ
# in lightness as well, so that the two sides can be told apart without seeing red.
HEAT_COLOURS = (27, 33, 32, 31, 24, 23, 236, 237, 238, 239, 94, 130, 166, 202, 203, 217)
_DARK_TEXT_FROM = 11
HEAT_LEVELS = len(HEAT_COLOURS)
EVEN_LEVEL = 7


def _heat(level: int, blank: bool) -> Style:
    background = Color.from_ansi(HEAT_COLOURS[level])
    if blank:
        return Style(bgcolor=background)
    text = 16 if level >= _DARK_TEXT_FROM or level in (1, 2) else 231
    if 6 <= level <= 9:
        text = 250
    return Style(color=Color.from_ansi(text), bgcolor=background)


@lru_cache(512)
def style(ink: int, blank: bool = False) -> Style:
    """The style of an ink. Where nothing but blanks is written in it (`blank`) it need not say the
    text's colour, which is a third of what a cell of a map costs."""
    if ink >= Ink.HEAT:
        return _heat(min(ink - Ink.HEAT, HEAT_LEVELS - 1), blank)
    if ink in _ON:
        fore, back, how = _ON[ink]
    else:
        (fore, how), back = _PLAIN[ink], BACKGROUND
    return Style(
        color=Color.from_ansi(fore), bgcolor=Color.from_ansi(back), bold="b" in how or None
    )
