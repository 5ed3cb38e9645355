"""The layer × expert heatmap."""

from __future__ import annotations

from cockpit.series import Floats
from cockpit.widgets.canvas import Canvas
from cockpit.widgets.grid import Grid
from cockpit.widgets.render_chart import waiting
from cockpit.widgets.render_heatmap import (
    Heat,
    Levels,
    Load,
    heatmap,
    levels,
    needed_height,
    shares,
    steady,
)


class ExpertHeatmap(Canvas):
    """Where the tokens go."""

    TILES = 8

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._heat: Heat | None = None
        self._level: Levels | None = None
        self._written: Floats | None = None
        self._waiting = ""

    @property
    def shape(self) -> tuple[int, int] | None:
        """Layers and experts, once they are known."""
        if self._heat is None:
            return None
        layers, experts = self._heat.share.shape
        return layers, experts

    def wants(self, width: int, limit: int) -> int:
        """How many rows it would fill."""
        return needed_height(*self.shape, width, limit) if self.shape else min(7, limit)

    def show(self, load: Load | None, waiting: str) -> None:
        """Draw a window of counts, or say what is awaited."""
        self._waiting = waiting
        if load is not None and load.counts.size:
            share = shares(load.counts)
            self._level = levels(share, self._level)
            self._written = steady(share, self._written)
            self._heat = Heat(
                share, self._level, self._written, load.layers, load.steps, load.tokens
            )
        self.redraw()

    def draw(self, width: int, height: int) -> Grid:
        """The map."""
        if self._heat is None or height < 4:
            return waiting(width, height, "experts", self._waiting)
        return heatmap(width, height, self._heat)
