"""How inks look on the terminal in use, and the characters that stand for colours."""

from __future__ import annotations

from functools import lru_cache

from rich.color import Color
from rich.style import Style

from cockpit import terminal
from cockpit.terminal import Terminal
from cockpit.widgets.glyphs import ASCII, Glyphs
from cockpit.widgets.grid import Ink
from cockpit.widgets.schemes import (
    DARK,
    LEVELS,
    LIGHT,
    NO_COLOUR,
    SIXTEEN,
    SIXTEEN_LIGHT,
    Scheme,
)

# What marks a cell of a map besides its colour.
DEAD, COLD, HOT, STUCK, ALARM, NOTHING = "✕", "▽", "▲", "Ø", "!", "·"
RISING, FALLING, STEADY = "↗", "↘", "→"
RISE = "▁▂▃▄▅▆▇█"
"""A column's height in eighths."""
RUN = "▏▎▍▌▋▊▉█"
"""A bar's length in eighths."""
HEAT_LEVELS = LEVELS


def scheme(shown: Terminal) -> Scheme:
    """The colours for a terminal."""
    if shown.depth == "none":
        return NO_COLOUR
    dark, light = (SIXTEEN, SIXTEEN_LIGHT) if shown.depth == "16" else (DARK, LIGHT)
    return dark if shown.theme == "dark" else light


def charts() -> Glyphs:
    """What charts are drawn with."""
    shown = terminal.in_use()
    return ASCII if shown.ascii else scheme(shown).charts


def ramp() -> str:
    """The character of a blank cell of each heat level, where backgrounds cannot show it; else
    nothing."""
    return scheme(terminal.in_use()).ramp


def style(ink: int, blank: bool = False) -> Style:
    """The style of an ink. Where nothing but blanks is written in it (`blank`) it need not say the
    text's colour, which is a third of what a cell of a map costs."""
    return _style(ink, blank, terminal.in_use())


@lru_cache(2048)
def _style(ink: int, blank: bool, shown: Terminal) -> Style:
    colours = scheme(shown)
    front: int | None
    back: int | None
    if ink >= Ink.HEAT:
        back, front = colours.heat[min(ink - Ink.HEAT, LEVELS - 1)]
        how = ""
        if back is None:
            back = colours.background
        elif blank:
            front = None
    elif ink in colours.on:
        front, back, how = colours.on[ink]
    else:
        (front, how), back = colours.plain[ink], colours.background
    return Style(
        color=None if front is None else Color.from_ansi(front),
        bgcolor=None if back is None else Color.from_ansi(back),
        bold="b" in how or None,
        reverse="r" in how or None,
        underline="u" in how or None,
    )
