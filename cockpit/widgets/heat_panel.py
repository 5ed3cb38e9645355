"""The expert heatmap as a panel: what it holds, and how that is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from cockpit.loads import Kind, Load, Movement
from cockpit.widgets.canvas import Canvas
from cockpit.widgets.grid import Grid
from cockpit.widgets.heat_layout import (
    HEAD,
    Layout,
    layout,
    needed_height,
    picks,
    place_of,
    scrolled,
)
from cockpit.widgets.heat_scale import Flag, Heat, Levels, heat_of
from cockpit.widgets.render_chart import waiting
from cockpit.widgets.render_heatmap import Map, heatmap, legend
from cockpit.widgets.render_layer import (
    LayerHistory,
    LayerView,
    fold_of,
    layer_map,
    rows_of,
)
from cockpit.widgets.render_pointer import Moment, detail, timeline

Flags: TypeAlias = Mapping[tuple[int | None, int | None], Sequence[Flag]]
"""Raised alarms by the decoder's layer number and expert; None stands for all of them."""
FOOT = 3
"""Rows below the map while it has the focus: legend, the pointer's expert, time."""


class Past(NamedTuple):
    """A moment of the run that is not the newest."""

    source: Load | Movement
    moment: Moment


class HeatPanel(Canvas):
    """Layers × experts, or one layer through time. Subclasses move the pointer."""

    TOPIC = "experts"

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.kind: Kind = "experts"
        self.layer_open = False
        self.alone = False
        """Whether it has all the room, so that the rows below the map cost it nothing."""
        self._live: dict[Kind, Load | Movement] = {}
        self._heats: dict[Kind, Heat] = {}
        self._past: Past | None = None
        self._past_heat: Heat | None = None
        self._history: LayerHistory | None = None
        self._flags: Flags = {}
        self.pointer = (0, 0)
        self.zoom = False
        self.first = self.left = 0
        self.picks: Levels | None = None
        self._waiting = self._reading = ""
        self.plan: Layout | None = None
        self.time_row = -1
        self.fold = 1

    # --- values --------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, int] | None:
        """Layers and experts, once they are known."""
        heat = self._heats.get("experts")
        return heat.shape if heat is not None else None

    @property
    def open_layer(self) -> int | None:
        """The index of the layer that is shown through time."""
        return self.pointer[0] if self.layer_open else None

    def wants(self, width: int, limit: int) -> int:
        """How many rows it would fill."""
        return needed_height(*self.shape, width, limit) if self.shape else min(7, limit)

    def show(
        self,
        load: Load | None,
        waiting: str,
        movement: Movement | None = None,
        flags: Flags | None = None,
    ) -> None:
        """Draw the newest values and alarms, or say what is awaited."""
        self._waiting, self._flags = waiting, flags or {}
        for source in (load, movement):
            if source is not None:
                heat = heat_of(source, self._heats.get(kind_of(source)))
                if heat.share.size:
                    self._live[heat.kind], self._heats[heat.kind] = source, heat
        self.redraw()

    def show_past(self, past: Past | None) -> None:
        """Draw a moment of the past, or the newest values again for None."""
        self._past, self._reading = past, ""
        self._past_heat = heat_of(past.source) if past is not None else None
        self.redraw()

    def show_layer(self, history: LayerHistory | None) -> None:
        """Draw a layer through time; it may still be read."""
        self._history, self._reading = history, ""
        self.redraw()

    def show_reading(self, part: float) -> None:
        """Say that the journal is being looked through, 0 to 1."""
        text = f"reading the journal, {part:.0%}"
        if text != self._reading:
            self._reading = text
            self.redraw()

    @property
    def heat(self) -> Heat | None:
        """What is shown: of the past, or the newest."""
        return self._past_heat if self.past else self._heats.get(self.kind)

    @property
    def past(self) -> Past | None:
        """The moment that is shown, if it is not the newest."""
        past = self._past
        return past if past is not None and kind_of(past.source) == self.kind else None

    @property
    def history_end(self) -> int:
        """The last step on the axis of a layer through time; 0 while that is not known."""
        return self._history.end if self._history is not None else 0

    def _source(self) -> Load | Movement:
        return self.past.source if self.past is not None else self._live[self.kind]

    def alarmed(self, heat: Heat) -> npt.NDArray[np.bool_]:
        """Where an alarm is raised [L, E]; what is past has none."""
        found = np.zeros(heat.shape, bool)
        if self.past is not None:
            return found
        for layer, expert in self._flags:
            if layer is not None and expert is not None and layer in heat.layers:
                found[heat.layers.index(layer), expert : expert + 1] = True
        return found

    # --- drawing -------------------------------------------------------------------------

    def draw(self, width: int, height: int) -> Grid:
        """The map or the layer, and below it what the pointer is on."""
        heat = self.heat
        if heat is None or height < 4:
            awaited = self._waiting
            if self.kind == "updates" and "experts" in self._heats:
                awaited = "this run has not said how far its experts moved; u: share of tokens"
            return waiting(width, height, "experts", awaited)
        layers, experts = heat.shape
        self.pointer = min(self.pointer[0], layers - 1), min(self.pointer[1], experts - 1)
        foot = self._foot(heat, width, height)
        if self.layer_open:
            grid = self._draw_layer(heat, width, height, foot)
            below = min(2 + -(-experts // self.fold), height - foot)
        else:
            self.plan = plan = layout(layers, experts, width, height, foot, self.zoom)
            grid = self._draw_map(heat, plan, width, height)
            below = min(HEAD + plan.rows, height - foot)
        self._draw_foot(grid, heat, below, foot)
        return grid

    def _foot(self, heat: Heat, width: int, height: int) -> int:
        """Rows below the map: more of them while it has the focus, but fewer where they would have
        it folded more: first the legend goes, then (in a layer, whose axis tells it) the time."""
        if not self.has_focus or height < 9:
            return 1

        def folds(foot: int) -> int:
            if self.layer_open:
                return fold_of(heat.shape[1], height, foot, self.zoom)
            plan = layout(*heat.shape, width, height, foot, self.zoom)
            return plan.fold_rows * plan.fold_columns

        least = 1 if self.layer_open or not self.alone else 2
        return next(foot for foot in range(FOOT, 0, -1) if folds(foot) == folds(least))

    def _draw_map(self, heat: Heat, plan: Layout, width: int, height: int) -> Grid:
        alarmed = self.alarmed(heat)
        self.picks = picks(heat, plan, alarmed, self.picks)
        rows, columns = self.picks.shape
        row, column = place_of(plan, *self.pointer)
        self.first = scrolled(self.first, row, plan.rows, rows)
        self.left = scrolled(self.left, column, plan.columns, columns)
        pointer = self.pointer if self.has_focus else None
        told = "" if self.past is None else f"past: up to step {heat.step:,}"
        return heatmap(
            width, height,
            Map(heat, plan, self.picks, alarmed, self.first, self.left, pointer, told),
        )  # fmt: skip

    def _draw_layer(self, heat: Heat, width: int, height: int, foot: int) -> Grid:
        layer, expert = self.pointer
        self.fold = fold = fold_of(heat.shape[1], height, foot, self.zoom)
        rows = -(-heat.shape[1] // fold)
        self.first = scrolled(self.first, expert // fold, rows_of(height, foot), rows)
        history = self._history
        if history is not None and (history.layer, history.kind) != (layer, self.kind):
            history = None
        step = self.past.moment.step if self.past is not None else None
        view = LayerView(
            heat, layer, history, self.alarmed(heat)[layer], expert, self.first, fold, step
        )
        return layer_map(width, height, foot, view)

    def _draw_foot(self, grid: Grid, heat: Heat, row: int, foot: int) -> None:
        if foot == FOOT or not self.has_focus:
            legend(grid, row, heat)
            row += 1
        if self.has_focus:
            layer, expert = heat.layers[self.pointer[0]], self.pointer[1]
            raised = [
                flag
                for where in ((layer, expert), (layer, None))
                for flag in self._flags.get(where, ())
                if self.past is None
            ]
            detail(grid, row, heat, self._source(), self.pointer, raised)
        self.time_row = row + 1 if foot > 1 else -1
        if foot > 1:
            newest = Moment(heat.step, heat.step, live=True)
            timeline(grid, row + 1, self.past.moment if self.past else newest, self._reading)


def kind_of(source: Load | Movement) -> Kind:
    """What was measured."""
    return "experts" if isinstance(source, Load) else "updates"
