"""Colours in as few bytes as they take. No Textual here.

Every run of cells comes with all of its style before it and a reset behind it: 22 bytes around what
is often one digit. What a terminal has set already need not be said again.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

_SGR = re.compile(r"\x1b\[([0-9;]*)m")
_MOVES = re.compile(r"(?:\x1b\[[0-9;]*H|\r\n)*")
"""What shows no colour, so that a style that is set behind it may as well be."""
_OFF = {1: 22, 2: 22, 3: 23, 4: 24, 5: 25, 7: 27, 8: 28, 9: 29}
_UNSEEN = frozenset((1, 2, 3))
"""Attributes that a blank does not show: bold, dim, italic."""


class Look(NamedTuple):
    """How cells look: SGR parameters of both colours ("" the terminal's own), and attributes."""

    front: str = ""
    back: str = ""
    more: frozenset[int] = frozenset()


PLAIN = Look()


def blank(look: Look) -> Look:
    """What of a look a blank shows: its background, and lines or colours that come through."""
    more = look.more - _UNSEEN
    return Look(look.front if more else "", look.back, more)


def lean(text: str) -> str:
    """The same picture from fewer bytes. It must begin with nothing set, and then ends so. Text
    with styles that are not known here is left as it is."""
    parts: list[str] = []
    shown, wanted, at = PLAIN, PLAIN, 0
    for match in _SGR.finditer(text):
        shown = _add(parts, text[at : match.start()], shown, wanted)
        following = after(wanted, match[1])
        if following is None:
            return text
        wanted, at = following, match.end()
    shown = _add(parts, text[at:], shown, wanted)
    parts.append(change(shown, wanted))
    return "".join(parts)


def _add(parts: list[str], piece: str, shown: Look, wanted: Look) -> Look:
    """Append a piece of text, and what has to be set for it; how cells look from there."""
    moves = _MOVES.match(piece)
    assert moves is not None
    rest = piece[moves.end() :]
    if not rest:
        parts.append(piece)
        return shown
    if not rest.strip(" \r\n") and wanted.more | shown.more <= _UNSEEN:
        wanted = Look(shown.front, wanted.back, shown.more)
    parts += (moves[0], change(shown, wanted), rest)
    return wanted


@lru_cache(4096)
def after(look: Look, parameters: str) -> Look | None:
    """How cells look when these SGR parameters follow; None for some that are not known."""
    codes = [int(code or 0) for code in parameters.split(";")]
    front, back, more = look
    while codes:
        code = codes.pop(0)
        if code == 0:
            front, back, more = PLAIN
        elif code in _OFF:
            more = more | {code}
        elif code in _OFF.values():
            more = frozenset(kept for kept in more if _OFF[kept] != code)
        elif code in (38, 48):
            length = {5: 2, 2: 4}.get(codes[0] if codes else -1, 0)
            if not length or len(codes) < length:
                return None
            colour = ";".join(map(str, [code, *codes[:length]]))
            del codes[:length]
            front, back = (colour, back) if code == 38 else (front, colour)
        elif 30 <= code <= 37 or 90 <= code <= 97:
            front = str(code)
        elif 40 <= code <= 47 or 100 <= code <= 107:
            back = str(code)
        elif code in (39, 49):
            front, back = ("", back) if code == 39 else (front, "")
        else:
            return None
    return Look(front, back, more)


@lru_cache(4096)
def change(old: Look, new: Look) -> str:
    """The shortest sequence from one look to another."""
    if old == new:
        return ""
    kept = old.more & new.more
    ends = {_OFF[code] for code in old.more - new.more}
    kept -= {code for code in kept if _OFF[code] in ends}  # bold and dim end together
    codes = [str(code) for code in sorted(ends)]
    codes += [str(code) for code in sorted(new.more - kept)]
    if new.front != old.front:
        codes.append(new.front or "39")
    if new.back != old.back:
        codes.append(new.back or "49")
    anew = ["", *map(str, sorted(new.more)), *filter(None, (new.front, new.back))]
    return f"\x1b[{min(';'.join(codes), ';'.join(anew), key=len)}m"
