"""The colours of what Textual draws itself, by name."""

from __future__ import annotations

from textual.theme import Theme as Colours

from cockpit.terminal import Theme

THEMES: dict[Theme, Colours] = {
    "dark": Colours(
        name="l4cockpit", primary="#5fafd7", secondary="#87d7ff", accent="#ffaf5f",
        warning="#ffd75f", error="#ff8787", success="#87d787", foreground="#d0d0d0",
        background="#121212", surface="#1c1c1c", panel="#262626", dark=True,
        variables={"edge": "#5f87af"},
    ),
    "light": Colours(
        name="l4cockpit-light", primary="#005f87", secondary="#005faf", accent="#d75f00",
        warning="#af5f00", error="#d70000", success="#008700", foreground="#303030",
        background="#eeeeee", surface="#e4e4e4", panel="#dadada", dark=False,
        variables={"edge": "#5f87af"},
    ),
}  # fmt: skip
"""By name. Backgrounds are those of the panels, see widgets/schemes.py."""
