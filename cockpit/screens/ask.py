"""A question with a few answers, over the screen that asks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.events import Key

from cockpit.screens.painted import Dialog
from cockpit.widgets.canvas import Canvas
from cockpit.widgets.grid import Grid, Ink, fit

Answer = tuple[str, str, str]
"""A key, the answer it gives, and what that means."""


class Question(Canvas):
    """The text and the answers, one of them under the cursor."""

    def __init__(self, heading: str, lines: Sequence[str], answers: Sequence[Answer]) -> None:
        super().__init__()
        self.heading, self.text, self.answers, self.cursor = heading, lines, answers, 0

    def draw(self, width: int, height: int) -> Grid:
        """Heading, text, answers."""
        grid = Grid(width, height)
        grid.put(0, 2, fit(self.heading, width - 4), Ink.TITLE)
        row = 2
        for line in self.text[: max(height - len(self.answers) - 3, 0)]:
            grid.put(row, 2, fit(line, width - 4))
            row += 1
        row += bool(self.text)
        for number, (key, _, meaning) in enumerate(self.answers):
            choice = Grid(width, 1)
            at = choice.put(0, 4, key, Ink.KEY) + 2
            choice.put(0, max(at, 11), fit(meaning, width - 12))
            if number == self.cursor:
                choice.inks[:] = Ink.CURSOR
                choice.put(0, 2, "›", Ink.CURSOR)
            grid.paste(row + number, 0, choice)
        return grid


class Ask(Dialog[str]):
    """Shows a question; its result is the chosen answer, "" for none."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "answer('')", "Cancel"),
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j,tab", "move(1)", show=False),
        Binding("enter", "choose", show=False),
    ]

    def __init__(self, heading: str, lines: Sequence[str], answers: Sequence[Answer]) -> None:
        super().__init__()
        self._question = Question(heading, lines, answers)

    def compose(self) -> ComposeResult:
        """The box."""
        question = self._question
        widest = max(
            len(question.heading), *(len(line) for line in question.text), 0,
            *(len(meaning) + 11 for _, _, meaning in question.answers),
        )  # fmt: skip
        question.styles.width = min(widest + 8, 100)
        question.styles.height = (
            6 + len(question.text) + bool(question.text) + len(question.answers)
        )
        yield question

    def on_key(self, event: Key) -> None:
        """The answers' own keys."""
        for key, answer, _ in self._question.answers:
            if event.key == key:
                event.stop()
                self.dismiss(answer)

    def action_move(self, by: int) -> None:
        """The cursor, up or down."""
        question = self._question
        question.cursor = (question.cursor + by) % len(question.answers)
        question.redraw()

    def action_choose(self) -> None:
        """What is under the cursor."""
        self.dismiss(self._question.answers[self._question.cursor][1])

    def action_answer(self, answer: str) -> None:
        """This answer."""
        self.dismiss(answer)


def stop_question(name: str) -> tuple[str, list[str], list[Answer]]:
    """How to stop a run?"""
    return (
        f"Stop {name}?",
        [],
        [
            ("s", "save", "write a checkpoint, then stop"),
            ("x", "leave", "stop without: steps since the last checkpoint are lost"),
            ("esc", "", "cancel: it goes on"),
        ],
    )
