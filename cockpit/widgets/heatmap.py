"""The expert heatmap: where the tokens go, and whether the experts learn; a pointer on it, one
layer through time, and the way back through the run.

It gets values and draws them. What it lacks (the past, a layer's history) it asks for with a
`Changed` message; whoever holds the journal answers with `show_past` and `show_layer`.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

from textual.actions import SkipAction
from textual.binding import Binding, BindingType
from textual.events import Click, MouseScrollDown, MouseScrollUp
from textual.message import Message

from cockpit.widgets.heat_layout import GUTTER, HEAD
from cockpit.widgets.heat_panel import Flags, HeatPanel, Past
from cockpit.widgets.heat_pointer import moved, next_marked, pointer_of
from cockpit.widgets.render_layer import step_at
from cockpit.widgets.render_pointer import part_at

__all__ = ["ExpertHeatmap", "Flags", "Past", "Scrub"]
JUMP = 0.05
"""The part of the run that the fast keys go through."""


class Scrub(NamedTuple):
    """Where to look next: so many windows on (or back), or by a part of the run; or at a part of
    it, 0 to 1, or a step, or at what is live."""

    by: int = 0
    by_part: float = 0.0
    part: float | None = None
    step: int | None = None
    live: bool = False


class ExpertHeatmap(HeatPanel, can_focus=True):
    """Layers × experts; enter shows a layer through time."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1, 0)", show=False),
        Binding("down,j", "move(1, 0)", show=False),
        Binding("left,h", "move(0, -1)", show=False),
        Binding("right,l", "move(0, 1)", show=False),
        Binding("pageup", "move(-8, 0)", show=False),
        Binding("pagedown", "move(8, 0)", show=False),
        Binding("enter", "layer", "Experts: one layer through time"),
        Binding("n", "next_marked(1)", "Experts: next one with an alarm or mark"),
        Binding("N", "next_marked(-1)", show=False),
        Binding("u", "quantity", "Experts: share of tokens, or movement of weights"),
        Binding("z", "zoom", "Experts: all at once, or one by one with figures"),
        Binding("left_square_bracket,comma", "scrub(-1)", "Experts: back in time"),
        Binding("right_square_bracket,full_stop", "scrub(1)", show=False),
        Binding("left_curly_bracket", "scrub_part(-1)", show=False),
        Binding("right_curly_bracket", "scrub_part(1)", show=False),
        Binding("home", "first", "Experts: to the start of the run"),
        Binding("end", "live", "Experts: to what is live"),
        Binding("escape", "back", show=False),
    ]

    class Changed(Message):
        """Another quantity, layer or moment is wanted."""

        def __init__(self, scrub: Scrub | None = None) -> None:
            super().__init__()
            self.scrub = scrub

    # --- keys ----------------------------------------------------------------------------

    def action_move(self, down: int, across: int) -> None:
        """The pointer; where a layer is open left and right go through time."""
        heat = self.heat
        if heat is None:
            return
        layer, expert = self.pointer
        if not self.layer_open:
            if self.plan is not None and self.picks is not None:
                experts = heat.shape[1]
                self._point(moved(self.pointer, down, across, self.plan, self.picks, experts))
        elif across:
            self.action_scrub(across)
        else:
            by = self.fold * down
            self._point((layer, min(max(expert + by, 0), heat.shape[1] - 1)))

    def action_next_marked(self, way: int) -> None:
        """To the next (or last) expert with an alarm or a mark."""
        heat = self.heat
        if heat is not None:
            found = next_marked(heat, self.alarmed(heat), self.pointer, way)
            self._point(found or self.pointer)

    def _point(self, pointer: tuple[int, int]) -> None:
        other = pointer[0] != self.pointer[0]
        self.pointer = pointer
        if other and self.layer_open:
            self.post_message(self.Changed())
        self.redraw()

    def action_layer(self) -> None:
        """One layer through time, and back."""
        if self.heat is None:
            raise SkipAction
        self.layer_open = not self.layer_open
        self.first = 0
        self.post_message(self.Changed())
        self.redraw()

    def action_quantity(self) -> None:
        """Share of tokens, or movement of weights."""
        self.kind = "updates" if self.kind == "experts" else "experts"
        self.post_message(self.Changed())
        self.redraw()

    def action_zoom(self) -> None:
        """All of the map, folded if it must be; or figures for every expert, scrolled."""
        self.zoom = not self.zoom
        self.first = self.left = 0
        self.redraw()

    def action_scrub(self, by: int) -> None:
        """One window (or several) through the run."""
        self.post_message(self.Changed(Scrub(by=by)))

    def action_scrub_part(self, way: int) -> None:
        """By a twentieth of the run."""
        self.post_message(self.Changed(Scrub(by_part=way * JUMP)))

    def action_first(self) -> None:
        """To the run's first window."""
        self.post_message(self.Changed(Scrub(part=0.0)))

    def action_live(self) -> None:
        """To the newest values."""
        self.post_message(self.Changed(Scrub(live=True)))

    def action_back(self) -> None:
        """Out of the layer, then out of the past; then out of whatever lies around this panel."""
        if self.layer_open:
            self.action_layer()
        elif self.past:
            self.action_live()
        else:
            raise SkipAction

    # --- mouse ---------------------------------------------------------------------------

    def on_click(self, event: Click) -> None:
        """On an expert: the pointer, and once more: its layer. On a layer's name: that layer. On
        the line of time: that moment."""
        place = event.screen_offset - self.content_region.offset
        heat = self.heat
        if heat is None:
            return
        if place.y == self.time_row:
            part = part_at(place.x, self.grid.width)
            if part is not None:
                self.post_message(self.Changed(Scrub(part=part) if part < 1 else Scrub(live=True)))
        elif self.layer_open:
            self._click_layer(place.x, place.y, heat.shape[1])
        else:
            self._click_map(place.x, place.y, heat.shape[1])

    def _click_map(self, x: int, y: int, experts: int) -> None:
        plan, picks = self.plan, self.picks
        if plan is None or picks is None:
            return
        row = y - HEAD + self.first
        column = max(x - GUTTER, 0) // plan.cell + self.left
        if y < HEAD or y >= HEAD + plan.rows or row >= picks.shape[0] or column >= picks.shape[1]:
            return
        found = pointer_of(int(picks[row, column]), experts)
        again = found == self.pointer or (x < GUTTER and plan.layers_down)
        self._point(found)
        if again:
            self.action_layer()

    def _click_layer(self, x: int, y: int, experts: int) -> None:
        expert = (y - 1 + self.first) * self.fold
        if y < 1 or expert >= experts:
            return
        self._point((self.pointer[0], expert))
        step = step_at(x, self.grid.width, self.history_end)
        if step is not None:
            self.post_message(self.Changed(Scrub(step=step)))

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        """The pointer, up; over the line of time: back."""
        self._wheel(event, -1)

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        """The pointer, down; over the line of time: on."""
        self._wheel(event, 1)

    def _wheel(self, event: MouseScrollUp | MouseScrollDown, way: int) -> None:
        event.stop()
        place = event.screen_offset - self.content_region.offset
        if place.y == self.time_row:
            self.action_scrub(way)
        elif self.has_focus:
            self.action_move(3 * way, 0)
