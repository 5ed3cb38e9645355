"""Painting a screen of canvases: Textual lays it out, and then their grids make one frame, of which
the terminal gets what has changed.

Textual compares no cells; whatever a widget has repainted is sent again, a cut line at a time. This
is for screens on which there is nothing but canvases, and for dialogs over them. Anything else on a
screen (the command palette, tooltips) is painted by Textual, as are pictures for a file.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from textual._compositor import Compositor, CompositorUpdate
from textual.geometry import Region
from textual.screen import Screen

from cockpit import terminal
from cockpit.widgets.canvas import Canvas
from cockpit.widgets.frame import changed, finished, sequence
from cockpit.widgets.grid import Grid
from cockpit.widgets.palette import Looks, looks
from cockpit.widgets.paper import Paper, PaperApp


class FrameUpdate(CompositorUpdate):
    """From the paper to the next frame."""

    ON_PAPER = True
    """Whether the paper is known afterwards."""

    def __init__(
        self, app: PaperApp[Any], paper: Paper, cells: npt.NDArray[np.bool_], look: Looks
    ) -> None:
        self._app, self._paper, self._cells, self._look = app, paper, cells, look

    def render_segments(self, _console: Console) -> str:
        """What is written to the terminal; from then on it is on the paper."""
        self._app.paper = self._paper
        return sequence(self._paper.frame, self._cells, self._look)


class Painter(Compositor):
    """The compositor of a screen of canvases."""

    def __init__(self, screen: Screen[Any]) -> None:
        super().__init__()
        self._screen = screen

    def render_update(
        self,
        full: bool = False,
        screen_stack: list[Screen[Any]] | None = None,
        simplify: bool = False,
    ) -> Any:
        """What has changed; None where nothing has."""
        app = self._screen.app
        if full:  # a picture for a file; what is to be painted on the terminal remains so
            dirty = self._dirty_regions.copy()
            picture = super().render_update(full, screen_stack, simplify)
            self._dirty_regions |= dirty
            return picture
        below = screen_stack if screen_stack and self._screen.is_modal else []
        parts = self._parts(below)
        if parts is None or not isinstance(app, PaperApp):
            return super().render_update(full, screen_stack, simplify)
        if not self._dirty_regions:
            return None
        self._dirty_regions.clear()
        frame = Grid(*self.size)
        for canvas, region in parts:
            canvas.put_on(frame, region)
        kind = terminal.in_use()
        look = looks(kind)
        paper = Paper(finished(frame, look), kind)
        before = app.paper
        known = before is not None and before.kind == kind
        cells = changed(before.frame if before and known else None, paper.frame)
        return FrameUpdate(app, paper, cells, look) if cells.any() else None

    def _parts(self, below: list[Screen[Any]]) -> list[tuple[Canvas, Region]] | None:
        """The canvases of all screens that are seen, the lowest first; None where there is
        something else."""
        found: list[tuple[Canvas, Region]] = []
        for screen in (*below, self._screen):
            painter = screen._compositor
            if not isinstance(painter, Painter):
                return None
            for widget, (region, clip) in reversed(painter.visible_widgets.items()):
                if isinstance(widget, Canvas) and clip.contains_region(region):
                    found.append((widget, region))
                elif widget is not screen and region.intersection(clip):
                    return None
        return found
