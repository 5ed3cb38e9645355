"""All alarms of a run, over its dashboard."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from cockpit.boards import key_of
from cockpit.screens.painted import Dialog
from cockpit.widgets.canvas import Canvas
from cockpit.widgets.grid import Grid
from cockpit.widgets.render_alarms import Shown, alarm_list
from trainer.contract.messages import Alarm


class Lines(Canvas):
    """The list and the cursor."""

    def __init__(self) -> None:
        super().__init__(id="alarms")
        self.shown: Sequence[Shown] = ()
        self.cursor = 0

    @property
    def chosen(self) -> Alarm | None:
        """What is under the cursor."""
        return self.shown[self.cursor].alarm if self.cursor < len(self.shown) else None

    def show(self, shown: Sequence[Shown]) -> None:
        """Draw these; the cursor stays on what it was on."""
        chosen = self.chosen
        self.shown = shown
        places = [
            n for n, other in enumerate(shown) if chosen and key_of(other.alarm) == key_of(chosen)
        ]
        self.cursor = places[0] if places else max(0, min(self.cursor, len(shown) - 1))
        self.redraw()

    def draw(self, width: int, height: int) -> Grid:
        """The lines."""
        muted = bool(getattr(self.app, "muted", False))
        return alarm_list(width, height, self.shown, self.cursor, time.time(), muted)


class AlarmList(Dialog[None]):
    """alarms gives those that are raised; acknowledge is called with those that were seen;
    show_log and show_step, when the list has gone, with the one to be shown there."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "close", "Back"),
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("enter,space", "acknowledge", "Acknowledge"),
        Binding("a", "acknowledge_all", "Acknowledge all"),
        Binding("t", "log", "Its lines in the trainer's log"),
        Binding("c", "chart", "Its step in the charts"),
        Binding("m", "mute", "Bell and notifications on or off"),
    ]

    def __init__(
        self,
        alarms: Callable[[], list[Shown]],
        acknowledge: Callable[[Sequence[Alarm]], None],
        show_log: Callable[[Alarm], None],
        show_step: Callable[[Alarm], None],
    ) -> None:
        super().__init__()
        self._alarms, self._acknowledge = alarms, acknowledge
        self._show_log, self._show_step = show_log, show_step
        self._lines = Lines()

    def compose(self) -> ComposeResult:
        """The box."""
        yield self._lines

    def on_mount(self) -> None:
        """Look now, and every second."""
        self._look()
        self.set_interval(1.0, self._look)

    def _look(self) -> None:
        self._lines.show(self._alarms())

    def action_move(self, by: int) -> None:
        """The cursor, up or down."""
        lines = self._lines
        lines.cursor = max(0, min(lines.cursor + by, len(lines.shown) - 1))
        lines.redraw()

    def action_acknowledge(self) -> None:
        """The one under the cursor was seen."""
        if chosen := self._lines.chosen:
            self._acknowledge([chosen])

    def action_acknowledge_all(self) -> None:
        """All were seen."""
        self._acknowledge([shown.alarm for shown in self._lines.shown if not shown.seen_by])

    def action_log(self) -> None:
        """What was printed when it was raised."""
        self._leave_for(self._show_log)

    def action_chart(self) -> None:
        """The step at which it was raised."""
        self._leave_for(self._show_step)

    def _leave_for(self, show: Callable[[Alarm], None]) -> None:
        if chosen := self._lines.chosen:
            self.dismiss()
            show(chosen)

    async def action_mute(self) -> None:
        """No bell and no notifications, or again."""
        await self.run_action("app.mute")
        self._lines.redraw()

    def action_close(self) -> None:
        """Back to the run."""
        self.dismiss()
