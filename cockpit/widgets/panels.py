"""The panels that draw one value each: header, memory, events, footer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from textual.events import MouseScrollDown, MouseScrollUp

from cockpit.widgets.canvas import Canvas
from cockpit.widgets.grid import Grid
from cockpit.widgets.render_events import Event, Tone, events_panel
from cockpit.widgets.render_header import Header, footer, header
from cockpit.widgets.render_memory import memory_panel
from trainer.contract.messages import Hello, Memory, System


class RunHeader(Canvas):
    """State, progress, figures, and the notice."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._shown: Header | None = None

    def show(self, shown: Header) -> None:
        """Draw these values."""
        self._shown = shown
        self.redraw()

    def draw(self, width: int, height: int) -> Grid:
        """The header."""
        return header(width, height, self._shown) if self._shown else Grid(width, height)


class MemoryPanel(Canvas):
    """Memory per device, host, offload, and a step's time."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._memory: Mapping[int, Memory] = {}
        self._system: System | None = None
        self._hello: Hello | None = None
        self._step: Mapping[str, float] = {}

    def show(
        self,
        memory: Mapping[int, Memory],
        system: System | None,
        hello: Hello | None,
        step: Mapping[str, float],
    ) -> None:
        """Draw the newest samples; step is the mean seconds of a step, by part."""
        self._memory, self._system, self._hello, self._step = memory, system, hello, step
        self.redraw()

    def draw(self, width: int, height: int) -> Grid:
        """The bars."""
        return memory_panel(width, height, self._memory, self._system, self._hello, self._step)


class EventList(Canvas):
    """What happened; page keys and the wheel scroll back."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._events: Sequence[Event] = ()
        self._back = 0

    def show(self, events: Sequence[Event]) -> None:
        """Draw these events, oldest first."""
        self._events = events
        self.redraw()

    def scroll_lines(self, lines: int) -> None:
        """Look further back (or nearer, for less than 0)."""
        most = max(len(self._events) - 1, 0)
        self._back = max(0, min(self._back + lines, most))
        self.redraw()

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        """Back."""
        event.stop()
        self.scroll_lines(3)

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        """Towards now."""
        event.stop()
        self.scroll_lines(-3)

    def draw(self, width: int, height: int) -> Grid:
        """The lines."""
        return events_panel(width, height, self._events, self._back)


class KeyFooter(Canvas):
    """What became of the last command, and the keys."""

    def __init__(
        self,
        keys: Sequence[tuple[str, str]],
        *,
        id: str | None = None,  # noqa: A002
    ) -> None:
        super().__init__(id=id)
        self.keys = keys
        self._status: tuple[Tone, str] | None = None

    def show(self, status: tuple[Tone, str] | None) -> None:
        """Draw the status line."""
        self._status = status
        self.redraw()

    def draw(self, width: int, height: int) -> Grid:
        """Both lines."""
        return footer(width, height, self._status, self.keys)
