"""Keys and mouse of a chart: each moves its view. What is drawn is the chart's own affair."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from textual.actions import SkipAction
from textual.binding import Binding, BindingType
from textual.events import (
    Click,
    Leave,
    MouseDown,
    MouseMove,
    MouseScrollDown,
    MouseScrollUp,
    MouseUp,
)

from cockpit.source import Axis
from cockpit.widgets.canvas import Canvas
from cockpit.widgets.chart_view import View, nearest, stepped
from cockpit.widgets.render_chart import GUTTER

CLOSER = 0.6
"""How much of a window one step of a zoom keeps."""
HINT = (
    ("←→", "crosshair"), ("↑↓", "zoom"), ("< >", "pan"), ("0", "all"), ("end", "newest"),
    ("x", "axis"), ("y", "log"), ("e", "smooth"), ("[ ]", "metric"), ("/", "choose"),
    ("o", "compare"), ("u", "range"),
)  # fmt: skip


class Navigated(Canvas, can_focus=True):
    """A canvas with an x axis, a view of it, and a plot from column GUTTER on."""

    TOPIC = "charts"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "cross(-1)", show=False),
        Binding("right", "cross(1)", show=False),
        Binding("shift+left,ctrl+left", "cross(-10)", show=False),
        Binding("shift+right,ctrl+right", "cross(10)", show=False),
        Binding("up,plus,equals_sign", "zoom(1)", show=False),
        Binding("down,minus", "zoom(-1)", show=False),
        Binding("less_than_sign,comma,h", "pan(-0.25)", show=False),
        Binding("greater_than_sign,full_stop,l", "pan(0.25)", show=False),
        Binding("0", "whole", "Chart: all of the run"),
        Binding("home", "pan(-1000000)", show=False),
        Binding("end,f", "newest", "Chart: the newest steps"),
        Binding("x", "axis", "Chart: x axis by steps, tokens or time"),
        Binding("y", "log", "Chart: logarithmic or linear y axis"),
        Binding("e", "smooth", "Chart: more or less smoothing"),
        Binding("u", "every", "Chart: y axis up to the first steps, or not"),
        Binding("escape", "leave", show=False),
    ]

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.view = View()
        self._dragged: tuple[int, View] | None = None
        self._hovering = False

    # --- for the chart to say ----------------------------------------------------------

    def points(self) -> npt.NDArray[Any]:
        """Where the points lie on the axis of the view, from its origin [N]."""
        return np.empty(0)

    def reach(self) -> tuple[float, float | None]:
        """The newest point, and where the axis will end if that is known."""
        return 0.0, None

    def least(self) -> float:
        """How narrow the narrowest window is."""
        return 8.0

    def on_other_axis(self, place: float, axis: Axis) -> float:
        """Where a place of this view lies on another axis."""
        return place

    def look(self, view: View) -> None:
        """Draw another view."""
        self.view = view
        self.redraw()

    # --- places --------------------------------------------------------------------------

    def _cell(self) -> float:
        """How much of the axis a cell spans."""
        start, end = self.view.span(*self.reach())
        return (end - start) / max(self.size.width - GUTTER - 1, 1)

    def _place(self, screen_x: int) -> float:
        start, _ = self.view.span(*self.reach())
        return start + (screen_x - self.content_region.x - GUTTER + 0.5) * self._cell()

    def _middle(self) -> float:
        """What a zoom by key is around: the crosshair, else the newest point, else the middle."""
        start, end = self.view.span(*self.reach())
        newest, cursor = self.reach()[0], self.view.cursor
        if cursor is not None and start <= cursor < end:
            return cursor
        return newest if start <= newest < end else (start + end) / 2

    # --- keys ----------------------------------------------------------------------------

    def action_cross(self, cells: int) -> None:
        """Move the crosshair to the point that lies so many cells on, at least by one point."""
        points, view = self.points(), self.view
        if not len(points):
            return
        self._hovering = False
        start, end = view.span(*self.reach())
        if view.cursor is None:
            inside = points[(points >= start) & (points < end)]
            cursor = float(inside[-1]) if len(inside) else nearest(points, (start + end) / 2)
        else:
            cursor = stepped(points, view.cursor, cells * self._cell())
        while view.window is not None and not start <= cursor < end:
            moved = view.panned(-0.25 if cursor < start else 0.25, *self.reach())
            if moved == view:
                break
            view = moved
            start, end = view.span(*self.reach())
        self.look(replace(view, cursor=cursor))

    def action_zoom(self, times: int) -> None:
        """Closer, or for less than 0 farther away."""
        self._zoom(CLOSER**times, self._middle())

    def _zoom(self, factor: float, around: float) -> None:
        self.look(self.view.zoomed(factor, around, *self.reach(), self.least()))

    def action_pan(self, by: float) -> None:
        """Along the axis, by so many widths of what is seen."""
        self.look(self.view.panned(by, *self.reach()))

    def action_whole(self) -> None:
        """All of the run."""
        self.look(replace(self.view, window=None, following=False))

    def action_newest(self) -> None:
        """The newest points, and go on with them."""
        self.look(self.view.at_newest(*self.reach()))

    def action_axis(self) -> None:
        """The next x axis, with the same part of the run in view."""
        view, axis = self.view, self.view.next_axis()
        window = view.window and (
            self.on_other_axis(view.window[0], axis), self.on_other_axis(view.window[1], axis)
        )  # fmt: skip
        if window and window[1] <= window[0]:
            window = None
        cursor = None if view.cursor is None else self.on_other_axis(view.cursor, axis)
        self.look(replace(view, axis=axis, window=window, cursor=cursor))

    def action_log(self) -> None:
        """Logarithmic, or back."""
        self.look(replace(self.view, log=not self.view.log))

    def action_smooth(self) -> None:
        """More smoothing, then none."""
        self.look(self.view.smoother())

    def action_every(self) -> None:
        """Let the y axis reach up to the first steps, or not."""
        self.look(replace(self.view, every=not self.view.every))

    def action_leave(self) -> None:
        """Put the crosshair away; without one, what the screen does."""
        if self.view.cursor is None or self._hovering:
            raise SkipAction
        self.look(replace(self.view, cursor=None))

    # --- mouse ---------------------------------------------------------------------------

    def on_mouse_down(self, event: MouseDown) -> None:
        """Take hold of the plot."""
        self._dragged = event.screen_x, self.view
        self.capture_mouse()

    def on_mouse_up(self, _event: MouseUp) -> None:
        """Let go."""
        self._dragged = None
        self.release_mouse()

    def on_mouse_move(self, event: MouseMove) -> None:
        """The crosshair is under the mouse; with the button held the plot moves with it."""
        if self._dragged is not None:
            at, view = self._dragged
            width = max(self.size.width - GUTTER - 1, 1)
            self.look(view.panned((at - event.screen_x) / width, *self.reach()))
            return
        points = self.points()
        inside = event.screen_x - self.content_region.x >= GUTTER
        if len(points) and inside:
            self._hovering = True
            cursor = nearest(points, self._place(event.screen_x))
            if cursor != self.view.cursor:
                self.look(replace(self.view, cursor=cursor))

    def on_leave(self, _event: Leave) -> None:
        """The crosshair goes with the mouse."""
        if self._hovering and not self.is_mouse_over:
            self._hovering = False
            self.look(replace(self.view, cursor=None))

    def on_click(self, event: Click) -> None:
        """A click leaves the crosshair where it is; two show all of the run."""
        self._hovering = False
        if event.chain > 1:
            self.action_whole()

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        """Closer, around the mouse; with shift or ctrl, to the left."""
        self._scroll(event, CLOSER, -0.1)

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        """Farther away; with shift or ctrl, to the right."""
        self._scroll(event, 1 / CLOSER, 0.1)

    def _scroll(self, event: MouseScrollUp | MouseScrollDown, factor: float, by: float) -> None:
        event.stop()
        if event.shift or event.ctrl:
            self.look(self.view.panned(by, *self.reach()))
        else:
            self._zoom(factor, self._place(event.screen_x))
