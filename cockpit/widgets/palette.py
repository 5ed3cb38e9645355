"""How inks look on the terminal in use, and the characters that stand for colours."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from rich.color import Color
from rich.style import Style

from cockpit import terminal
from cockpit.sgr import Look, blank
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


def style(ink: int) -> Style:
    """The style of an ink, for Textual to paint."""
    return _style(ink, terminal.in_use())


@lru_cache(2048)
def _style(ink: int, shown: Terminal) -> Style:
    front, back, how = _parts(ink, scheme(shown))
    return Style(
        color=None if front is None else Color.from_ansi(front),
        bgcolor=None if back is None else Color.from_ansi(back),
        bold="b" in how or None,
        reverse="r" in how or None,
        underline="u" in how or None,
    )


def _parts(ink: int, colours: Scheme) -> tuple[int | None, int | None, str]:
    """Text's and background's colour, and attributes."""
    if ink >= Ink.HEAT:
        back, front = colours.heat[min(ink - Ink.HEAT, LEVELS - 1)]
        return front, colours.background if back is None else back, ""
    if ink in colours.on:
        return colours.on[ink]
    front, how = colours.plain[ink]
    return front, colours.background, how


class Looks(NamedTuple):
    """How each of the 256 inks looks, and a blank in it; same is the smallest ink in which a blank
    looks the same; ramp are the characters of blanks of each heat level, where backgrounds cannot
    show it (else nothing)."""

    looks: tuple[Look, ...]
    blanks: tuple[Look, ...]
    same: npt.NDArray[np.uint8]
    ramp: str


@lru_cache(16)
def looks(shown: Terminal) -> Looks:
    """The inks on a terminal, as it is told of them."""
    colours = scheme(shown)
    found = [_look(*_parts(ink, colours)) for ink in range(Ink.HEAT + LEVELS)]
    found += [found[-1]] * (256 - len(found))
    blanks = [blank(look) for look in found]
    same = np.array([blanks.index(look) for look in blanks], np.uint8)
    return Looks(tuple(found), tuple(blanks), same, colours.ramp)


def _look(front: int | None, back: int | None, how: str) -> Look:
    attributes = frozenset(code for name, code in (("b", 1), ("u", 4), ("r", 7)) if name in how)
    return Look(_sgr(front, 30), _sgr(back, 40), attributes)


def _sgr(colour: int | None, base: int) -> str:
    """SGR parameters of one of the 256 colours, or of the terminal's own; base is 30 for text, 40
    for background."""
    if colour is None:
        return ""
    if colour < 16:
        return str(base + colour if colour < 8 else base + 52 + colour)
    return f"{base + 8};5;{colour}"
