"""Starting a preset: its main values, checked as they are typed."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, NamedTuple

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.events import Click, Key, MouseScrollDown, MouseScrollUp, Paste

from cockpit.launch_form import LaunchForm
from cockpit.screens.painted import Painted
from cockpit.widgets.canvas import Canvas
from cockpit.widgets.grid import Grid
from cockpit.widgets.line_edit import LineEdit
from cockpit.widgets.panels import KeyFooter
from cockpit.widgets.render_form import FOOT, HEAD, FormRow, FormShown, first, form
from trainer.contract.config import Config

KEYS = (
    ("↑↓", "choose"),
    ("← →", "turn"),
    ("^u", "clear"),
    ("^r", "as in the preset"),
    ("enter", "to the start, start"),
    ("esc", "cancel"),
)
_MOVES = {"up": -1, "shift+tab": -1, "down": 1, "tab": 1, "pageup": -100, "pagedown": 100}


class Wanted(NamedTuple):
    """What is to be started; name is None where it is to be called by its id."""

    config: Config
    name: str | None


class FormPanel(Canvas):
    """Draws the form."""

    def __init__(self, values: LaunchForm) -> None:
        super().__init__(id="form")
        self._form = values
        self.cursor = len(values.values)
        self.edit: LineEdit | None = None

    def move(self, to: int) -> None:
        """The cursor; on a value it is being edited."""
        values = self._form.values
        self.cursor = max(0, min(to, len(values)))
        on_value = self.cursor < len(values)
        self.edit = LineEdit(values[self.cursor].text) if on_value else None
        self.redraw()

    def on_click(self, event: Click) -> None:
        """The cursor onto a value."""
        y, rows = event.screen_y - self.content_region.y, len(self._form.values)
        room = self.content_region.height - HEAD - FOOT
        at = first(rows, self.cursor, room) + y - HEAD
        if y == self.content_region.height - 1:
            self.move(rows)
        elif HEAD <= y < HEAD + room and at < rows:
            self.move(at)

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        """Up."""
        event.stop()
        self.move(self.cursor - 1)

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        """Down."""
        event.stop()
        self.move(self.cursor + 1)

    def draw(self, width: int, height: int) -> Grid:
        """The form."""
        values = self._form
        rows = [
            FormRow(
                value.key, value.text, value.was if value.changed else "",
                value.key == values.wrong, value.about.text, value.about.choices,
            )
            for value in values.values
        ]  # fmt: skip
        heading = f"start {values.preset}"
        shown = FormShown(
            heading, values.description, rows, self.cursor, self.edit, values.problem,
            values.changes,
        )  # fmt: skip
        return form(width, height, shown)


class Launch(Painted[Wanted | None]):
    """The form of a preset; its result is what is to be started, or None. Raises ConfigError where
    the preset cannot be used."""

    TOPIC = "launch"
    CSS = "Launch > #form { height: 1fr; margin: 1 1 0 1; } Launch > #footer { height: 2; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "Cancel"),
        Binding("ctrl+r", "reset", "The preset's own value again"),
        Binding("enter", "enter", "Start"),
    ]

    def __init__(self, root: Path, preset: str) -> None:
        super().__init__()
        self._form = LaunchForm(root, preset)
        self._panel = FormPanel(self._form)

    def compose(self) -> ComposeResult:
        """Form, and keys."""
        yield self._panel
        yield KeyFooter(KEYS, id="footer")

    def on_key(self, event: Key) -> None:
        """What is typed into a value; keys that turn it. Those that move are done here and not by
        their bindings, which would come after letters that arrived together with the key."""
        panel = self._panel
        if event.key in _MOVES:
            event.stop()
            self.action_move(_MOVES[event.key])
            return
        if event.key == "enter":
            event.stop()
            self.action_enter()
            return
        if panel.edit is None:
            return
        value = self._form.values[panel.cursor]
        if event.key in ("left", "right") and value.turn(1 if event.key == "right" else -1):
            panel.edit = LineEdit(value.text)
        elif not panel.edit.key(event.key, event.character):
            return
        event.stop()
        self._typed()

    def on_paste(self, event: Paste) -> None:
        """Into a value."""
        if self._panel.edit is not None:
            self._panel.edit.insert(event.text)
            self._typed()

    def _typed(self) -> None:
        panel = self._panel
        if panel.edit is not None:
            self._form.values[panel.cursor].text = panel.edit.text
        self._form.check()
        panel.redraw()

    def action_move(self, by: int) -> None:
        """The cursor."""
        self._panel.move(self._panel.cursor + by)

    def action_reset(self) -> None:
        """What the preset says."""
        panel = self._panel
        if panel.edit is not None:
            value = self._form.values[panel.cursor]
            panel.edit = LineEdit(value.was)
            self._typed()

    def action_enter(self) -> None:
        """From a value to the start; there, start, unless something is wrong: then to that."""
        panel, values = self._panel, self._form
        wrong = [n for n, value in enumerate(values.values) if value.key == values.wrong]
        if values.config is None:
            panel.move(wrong[0] if wrong else panel.cursor)
        elif panel.edit is not None:
            panel.move(len(values.values))
        else:
            values.check()  # a name may have been taken meanwhile
            if values.config is not None:
                self.dismiss(Wanted(values.config, values.name))

    def action_cancel(self) -> None:
        """Start nothing."""
        self.dismiss(None)
