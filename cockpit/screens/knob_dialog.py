"""Turning a live knob: choose, type a value, read what it means, confirm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.events import Key

from cockpit import knobs
from cockpit.knobs import KNOBS, Knob
from cockpit.screens.painted import Dialog
from cockpit.widgets.canvas import Canvas
from cockpit.widgets.grid import Grid, Ink, fit

_TYPED = set("0123456789.eE+-")


class Form(Canvas):
    """The knobs, what is typed, and what is wrong with it or follows from it."""

    def __init__(self, now: Mapping[str, float | None], lr: float | None) -> None:
        super().__init__(id="knobs")
        self.now, self.lr = now, lr
        self.cursor, self.text, self.asking = 0, "", False

    @property
    def knob(self) -> Knob:
        """The one under the cursor."""
        return KNOBS[self.cursor]

    def value(self) -> float:
        """What is typed; raises ValueError."""
        return knobs.parse(self.knob, self.text)

    def draw(self, width: int, height: int) -> Grid:
        """The knobs, what is wrong with a value or follows from it, the keys."""
        grid = Grid(width, height)
        grid.put(0, 2, "Live knobs", Ink.TITLE)
        for number, knob in enumerate(KNOBS):
            grid.paste(2 + number, 0, self._line(width, knob, number == self.cursor))
        for row, (ink, text) in enumerate(self._comment(), 6):
            grid.put(row, 2, fit(text, width - 4), ink)
        keys = "↑↓ choose · type a value · enter · esc cancels"
        if self.asking:
            keys = "enter sets it · esc goes back"
        grid.put(height - 1, 2, fit(keys, width - 4), Ink.DIM)
        return grid

    def _line(self, width: int, knob: Knob, chosen: bool) -> Grid:
        line = Grid(width, 1)
        now = self.now[knob.key]
        line.put(0, 2, "›" if chosen else " ", Ink.KEY)
        line.put(0, 4, knob.title)
        line.put(0, 26, "–" if now is None else f"{now:g}", Ink.STRONG)
        if chosen:
            line.put(0, 36, f"→ {self.text}▏", Ink.KEY)
        else:
            line.put(0, 36, fit(knob.meaning, width - 38), Ink.DIM)
        return line

    def _comment(self) -> list[tuple[int, str]]:
        """What may be typed, what is wrong with it, or what it will do."""
        if not self.text:
            return [(Ink.DIM, f"{self.knob.meaning}: {self.knob.range}")]
        try:
            new = self.value()
        except ValueError as error:
            return [(Ink.WARN, f"! {error}")]
        now = self.now[self.knob.key]
        follows = knobs.consequence(self.knob, new, self.lr, now)
        if not self.asking:
            return [(Ink.DIM, follows or self.knob.meaning)]
        before = "" if now is None else f" from {now:g}"
        question = f"Set the {self.knob.title}{before} to {new:g}?"
        return [(Ink.STRONG, question), (Ink.DIM, follows)]


class KnobDialog(Dialog[tuple[str, float] | None]):
    """Its result is a knob and the value that it shall have, or None. lr is the newest step's
    learning rate."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "Cancel"),
        Binding("up,shift+tab", "move(-1)", show=False),
        Binding("down,tab", "move(1)", show=False),
        Binding("backspace", "erase", show=False),
        Binding("enter", "enter", show=False),
    ]

    def __init__(self, now: Mapping[str, float | None], lr: float | None) -> None:
        super().__init__()
        self._form = Form(now, lr)

    def compose(self) -> ComposeResult:
        """The box."""
        yield self._form

    def on_key(self, event: Key) -> None:
        """What may stand in a number is typed."""
        if event.character in _TYPED and not self._form.asking:
            event.stop()
            self._type(self._form.text + (event.character or ""))

    def _type(self, text: str) -> None:
        self._form.text, self._form.asking = text[:12], False
        self._form.redraw()

    def action_erase(self) -> None:
        """The last character."""
        self._type(self._form.text[:-1])

    def action_move(self, by: int) -> None:
        """Another knob; what was typed is gone."""
        self._form.cursor = (self._form.cursor + by) % len(KNOBS)
        self._type("")

    def action_enter(self) -> None:
        """A value that may be is asked about; asked, it is set."""
        form = self._form
        try:
            value = form.value()
        except ValueError:
            return
        if form.asking:
            self.dismiss((form.knob.key, value))
        form.asking = True
        form.redraw()

    def action_back(self) -> None:
        """From the question to the form; from there out."""
        if not self._form.asking:
            self.dismiss(None)
            return
        self._form.asking = False
        self._form.redraw()
