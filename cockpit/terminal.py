"""What the terminal can show, and what its user wants of that: colours, theme, characters, bytes.
Detection is pure: the environment is an argument. One terminal is in use at a time."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

Depth = Literal["true", "256", "16", "none"]
Theme = Literal["dark", "light"]
THEMES: tuple[Theme, ...] = get_args(Theme)
DEPTHS: tuple[Depth, ...] = get_args(Depth)
_SYSTEMS: dict[Depth, str] = {
    "true": "truecolor", "256": "256", "16": "standard", "none": "standard",
}  # fmt: skip
_COLOURLESS = ("", "dumb", "unknown", "vt100", "vt102", "vt220")


@dataclass(frozen=True)
class Terminal:
    """depth says how many colours there are; ascii, that there are no characters but those;
    slow, that bytes should be spared."""

    depth: Depth = "256"
    theme: Theme = "dark"
    ascii: bool = False
    slow: bool = False

    @property
    def colour_system(self) -> str:
        """What Rich and Textual call its depth."""
        return _SYSTEMS[self.depth]


def depth_of(environment: Mapping[str, str]) -> Depth:
    """How many colours a terminal has, by what it says of itself; none for a user who wants none
    (NO_COLOR, see no-color.org: set, and not empty)."""
    name = environment.get("TERM", "").lower()
    if environment.get("NO_COLOR"):
        return "none"
    told = environment.get("COLORTERM", "").lower(), environment.get("TEXTUAL_COLOR_SYSTEM")
    if told[0] in ("truecolor", "24bit") or told[1] == "truecolor" or name.endswith("-direct"):
        return "true"
    if name in _COLOURLESS:
        return "none"
    few = name.endswith(("-16color", "-8color", "-color"))
    return "256" if "256" in name or (name.startswith(_PLENTY) and not few) else "16"


def theme_of(environment: Mapping[str, str]) -> Theme:
    """Whether a terminal has a light background, as some say in COLORFGBG ("0;15"); else dark."""
    background = environment.get("COLORFGBG", "").rpartition(";")[2]
    return "light" if background in ("7", "15") else "dark"


def lacks_unicode(environment: Mapping[str, str]) -> bool:
    """Whether a terminal has ASCII alone: by the locale, where one is named (LC_ALL, LC_CTYPE,
    LANG, the first that is set), and by its name. Without a locale, as in most containers, it is
    taken for a terminal of today; so is a browser (textual-serve), whatever is said of the terminal
    that serves it."""
    if environment.get("TEXTUAL_DRIVER"):
        return False
    if environment.get("TERM", "").lower() in _OLD:
        return True
    names = ("LC_ALL", "LC_CTYPE", "LANG")
    locale = next((value for name in names if (value := environment.get(name))), "utf-8")
    return "utf8" not in locale.lower().replace("-", "")


_OLD = ("linux", "vt100", "vt102", "vt220", "ansi")
"""Terminals whose fonts have no dots to draw charts with."""


def detect(environment: Mapping[str, str]) -> Terminal:
    """What is known of a terminal by its environment."""
    return Terminal(
        depth_of(environment),
        theme_of(environment),
        lacks_unicode(environment),
        bool(environment.get("SSH_CONNECTION") or environment.get("SSH_TTY")),
    )


_PLENTY = ("xterm-", "alacritty", "foot", "iterm", "konsole", "wezterm", "contour", "rio")
"""Whose names do not say 256 and mean it."""


def switch_theme() -> Theme:
    """Draw dark on light from now on, or light on dark; which of the two it is then."""
    theme: Theme = "dark" if in_use().theme == "light" else "light"
    use(replace(in_use(), theme=theme))
    return theme


def prepare(terminal: Terminal, environment: MutableMapping[str, str]) -> None:
    """Draw for this terminal, and tell Textual, which looks when it is imported."""
    use(terminal)
    environment["TEXTUAL_COLOR_SYSTEM"] = terminal.colour_system
    environment.pop("NO_COLOR", None)
    if terminal.depth == "none":
        environment["NO_COLOR"] = "1"


_in_use = [Terminal()]


def use(terminal: Terminal) -> None:
    """Draw for this terminal from now on."""
    _in_use[0] = terminal


def in_use() -> Terminal:
    """The terminal that is drawn for."""
    return _in_use[0]
