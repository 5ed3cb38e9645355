"""Tables of colours, one for each depth and theme. Numbers are those of the 256 that every terminal
has had for decades (a colour of these costs half the bytes of a free one, and looks the same with
and without true colour); the first 16 of them are the terminal's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cockpit.widgets.glyphs import COLOURLESS, UNICODE, Glyphs
from cockpit.widgets.grid import Ink


@dataclass(frozen=True)
class Scheme:
    """plain: foreground and attributes of each ink (b bold, r reversed, u underlined); on: those
    inks that have a background too; heat: (background, text) of each level, a background of None
    where a blank shows its level by a character of `ramp` in the text's colour. None is the
    terminal's own colour."""

    background: int | None
    plain: Mapping[int, tuple[int | None, str]]
    on: Mapping[int, tuple[int | None, int | None, str]]
    heat: tuple[tuple[int | None, int | None], ...]
    ramp: str = ""
    charts: Glyphs = UNICODE


LEVELS = 16
EVEN_LEVEL = 7
# Blue under the uniform share, red over it, near the background where it is even. The ends differ
# in lightness as well, so that the two sides can be told apart without seeing red.
_HEAT = (27, 33, 32, 31, 24, 23, 236, 237, 238, 239, 94, 130, 166, 202, 203, 217)
_HEAT_TEXT = (231, 16, 16, 231, 231, 231, *[250] * 4, 231, *[16] * 5)

DARK = Scheme(
    background=233,
    plain={
        Ink.TEXT: (252, ""), Ink.STRONG: (231, "b"), Ink.DIM: (246, ""), Ink.FAINT: (238, ""),
        Ink.TITLE: (117, "b"), Ink.RULE: (237, ""), Ink.GOOD: (114, ""), Ink.BUSY: (117, ""),
        Ink.WARN: (221, ""), Ink.BAD: (210, "b"), Ink.KEY: (223, "b"),
        Ink.LINE: (215, ""), Ink.BAND: (67, ""), Ink.SECOND: (150, ""), Ink.SECOND_BAND: (65, ""),
        # Told apart without seeing red or green: neighbours differ in lightness too. Every curve
        # also has a letter, every area a texture.
        Ink.CURVE: (215, ""), Ink.CURVE_1: (75, ""), Ink.CURVE_2: (229, ""),
        Ink.CURVE_3: (36, ""), Ink.CURVE_4: (182, ""), Ink.CURVE_5: (166, ""),
        Ink.CURVE_6: (152, ""), Ink.CURVE_7: (98, ""),
        Ink.TRACK: (237, ""), Ink.FILL: (74, ""), Ink.FILL_SOFT: (24, ""),
        Ink.COLD_TEXT: (75, "b"), Ink.HOT_TEXT: (209, "b"),
    },
    on={
        Ink.CURSOR: (231, 24, "b"), Ink.CURSOR_DIM: (252, 24, ""), Ink.POINTER: (16, 231, "b"),
        Ink.STUCK: (16, 220, "b"),
    },
    heat=tuple(zip(_HEAT, _HEAT_TEXT, strict=True)),
)  # fmt: skip

_LIGHT_HEAT = (25, 31, 38, 74, 110, 152, 254, 253, 253, 252, 223, 216, 209, 166, 124, 52)
_LIGHT_HEAT_TEXT = (231, 231, 16, 16, 16, 16, *[240] * 4, 16, 16, 16, 231, 231, 231)
LIGHT = Scheme(
    background=255,
    plain={
        Ink.TEXT: (236, ""), Ink.STRONG: (16, "b"), Ink.DIM: (241, ""), Ink.FAINT: (250, ""),
        Ink.TITLE: (24, "b"), Ink.RULE: (251, ""), Ink.GOOD: (28, ""), Ink.BUSY: (25, ""),
        Ink.WARN: (130, ""), Ink.BAD: (160, "b"), Ink.KEY: (94, "b"),
        Ink.LINE: (166, ""), Ink.BAND: (110, ""), Ink.SECOND: (64, ""), Ink.SECOND_BAND: (151, ""),
        Ink.CURVE: (166, ""), Ink.CURVE_1: (25, ""), Ink.CURVE_2: (94, ""),
        Ink.CURVE_3: (30, ""), Ink.CURVE_4: (133, ""), Ink.CURVE_5: (88, ""),
        Ink.CURVE_6: (67, ""), Ink.CURVE_7: (55, ""),
        Ink.TRACK: (251, ""), Ink.FILL: (31, ""), Ink.FILL_SOFT: (110, ""),
        Ink.COLD_TEXT: (25, "b"), Ink.HOT_TEXT: (160, "b"),
    },
    on={
        Ink.CURSOR: (16, 153, "b"), Ink.CURSOR_DIM: (236, 153, ""), Ink.POINTER: (231, 16, "b"),
        Ink.STUCK: (16, 220, "b"),
    },
    heat=tuple(zip(_LIGHT_HEAT, _LIGHT_HEAT_TEXT, strict=True)),
)  # fmt: skip

_SIXTEEN_HEAT = (*[12] * 4, *[4] * 2, *[7] * 4, *[1] * 2, *[9] * 4)
SIXTEEN = Scheme(
    background=0,
    plain={
        Ink.TEXT: (7, ""), Ink.STRONG: (15, "b"), Ink.DIM: (7, ""), Ink.FAINT: (8, ""),
        Ink.TITLE: (14, "b"), Ink.RULE: (8, ""), Ink.GOOD: (10, ""), Ink.BUSY: (14, ""),
        Ink.WARN: (11, ""), Ink.BAD: (9, "b"), Ink.KEY: (11, "b"),
        Ink.LINE: (11, ""), Ink.BAND: (4, ""), Ink.SECOND: (10, ""), Ink.SECOND_BAND: (2, ""),
        Ink.CURVE: (11, ""), Ink.CURVE_1: (12, ""), Ink.CURVE_2: (15, ""), Ink.CURVE_3: (6, ""),
        Ink.CURVE_4: (13, ""), Ink.CURVE_5: (1, ""), Ink.CURVE_6: (10, ""), Ink.CURVE_7: (5, ""),
        Ink.TRACK: (8, ""), Ink.FILL: (6, ""), Ink.FILL_SOFT: (4, ""),
        Ink.COLD_TEXT: (12, "b"), Ink.HOT_TEXT: (9, "b"),
    },
    on={
        Ink.CURSOR: (15, 4, "b"), Ink.CURSOR_DIM: (7, 4, ""), Ink.POINTER: (0, 15, "b"),
        Ink.STUCK: (0, 11, "b"),
    },
    heat=tuple((None, text) for text in _SIXTEEN_HEAT),
    ramp="█▓▒▒░░    ░░▒▒▓█",
)  # fmt: skip

_SIXTEEN_LIGHT_HEAT = (*[4] * 4, *[6] * 2, *[8] * 4, *[5] * 2, *[1] * 4)
SIXTEEN_LIGHT = Scheme(
    background=15,
    plain={
        Ink.TEXT: (0, ""), Ink.STRONG: (0, "b"), Ink.DIM: (8, ""), Ink.FAINT: (7, ""),
        Ink.TITLE: (4, "b"), Ink.RULE: (7, ""), Ink.GOOD: (2, ""), Ink.BUSY: (4, ""),
        Ink.WARN: (5, ""), Ink.BAD: (1, "b"), Ink.KEY: (5, "b"),
        Ink.LINE: (1, ""), Ink.BAND: (6, ""), Ink.SECOND: (2, ""), Ink.SECOND_BAND: (7, ""),
        Ink.CURVE: (1, ""), Ink.CURVE_1: (4, ""), Ink.CURVE_2: (0, ""), Ink.CURVE_3: (6, ""),
        Ink.CURVE_4: (5, ""), Ink.CURVE_5: (9, ""), Ink.CURVE_6: (2, ""), Ink.CURVE_7: (12, ""),
        Ink.TRACK: (7, ""), Ink.FILL: (4, ""), Ink.FILL_SOFT: (6, ""),
        Ink.COLD_TEXT: (4, "b"), Ink.HOT_TEXT: (1, "b"),
    },
    on={
        Ink.CURSOR: (15, 4, "b"), Ink.CURSOR_DIM: (0, 7, ""), Ink.POINTER: (15, 0, "b"),
        Ink.STUCK: (0, 11, "b"),
    },
    heat=tuple((None, text) for text in _SIXTEEN_LIGHT_HEAT),
    ramp=SIXTEEN.ramp,
)  # fmt: skip

_BOLD = (Ink.STRONG, Ink.TITLE, Ink.BAD, Ink.KEY, Ink.COLD_TEXT, Ink.HOT_TEXT)
NO_COLOUR = Scheme(
    background=None,
    plain={ink: (None, "b" * (ink in _BOLD)) for ink in Ink if ink not in DARK.on},
    on={
        Ink.CURSOR: (None, None, "br"), Ink.CURSOR_DIM: (None, None, "u"),
        Ink.POINTER: (None, None, "br"), Ink.STUCK: (None, None, "b"),
    },
    heat=((None, None),) * LEVELS,
    ramp="≈≈≈~~~    ░░▒▒▓█",
    charts=COLOURLESS,
)  # fmt: skip
"""Lightness and texture do what colours do elsewhere: waves under the uniform share, shades over
it."""
