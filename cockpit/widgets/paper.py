"""What is on the terminal, as far as that is known. Nothing here is slow to import."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cockpit.terminal import Terminal

if TYPE_CHECKING:
    from cockpit.widgets.grid import Grid


class Paper(NamedTuple):
    """A frame, and the kind of terminal that it was written to."""

    frame: Grid
    kind: Terminal


class HasPaper:
    """Mixin for an app. paper is None while it is not known what is on its terminal; the next
    frame is sent whole then."""

    paper: Paper | None = None
