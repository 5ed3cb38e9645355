"""The keys of a run's screen that a user may choose. No Textual here."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

DEFAULT: dict[str, tuple[str, ...]] = {
    "pause": ("p",), "checkpoint": ("c",), "resume": ("r",), "stop": ("s",), "detach": ("d", "q"),
    "alarms": ("a",), "log": ("t",), "knobs": ("v",), "controls": ("w",), "keep controls": ("W",),
    "metric": ("/",), "compare": ("o",), "help": ("?",), "theme": ("ctrl+t",),
}  # fmt: skip
"""By name: the id of the action's Binding, and its word in the footer."""
_TAKEN = ("1", "2", "3", "4", "5", "j", "k", " ", ",")
"""Panels and scrolling; a comma separates keys in Textual."""
_KEY = re.compile(r"\S|f([1-9]|1[0-2])|ctrl\+[a-z]")
_CONTROLS = "chijmpqz"
"""With ctrl these are other keys of a terminal, or leave the program, or open the palette."""


def checked(wanted: Mapping[str, str]) -> dict[str, str]:
    """A key for each of some actions. Raises ValueError, in words for the user, for actions and
    keys that are not, and for two actions on one key."""
    for name, key in wanted.items():
        if name not in DEFAULT:
            raise ValueError(f"no action {name!r}; there are {', '.join(DEFAULT)}")
        if not _KEY.fullmatch(key) or not key.isprintable():
            raise ValueError(f"{name}: {key!r} is no key; one character, f1 to f12, or ctrl+letter")
        if key in _TAKEN or (key.startswith("ctrl+") and key[-1] in _CONTROLS):
            raise ValueError(f"{name}: {key!r} has another meaning that cannot be changed")
    owners: dict[str, str] = {}
    for name, usual in DEFAULT.items():
        for key in (wanted[name],) if name in wanted else usual:
            other = owners.setdefault(key, name)
            if other != name:
                raise ValueError(f"{key!r} would be both {other} and {name}")
    return dict(wanted)


def shown(
    keys: Sequence[tuple[str, str]], wanted: Mapping[str, str]
) -> tuple[tuple[str, str], ...]:
    """A footer's (key, name) with the keys that the user chose."""
    return tuple(
        (wanted[name].replace("ctrl+", "^"), name) if name in wanted else (key, name)
        for key, name in keys
    )
