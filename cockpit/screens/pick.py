"""A list to choose from by typing some letters of what is wanted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.events import Click, Key, MouseScrollDown, MouseScrollUp
from textual.fuzzy import FuzzySearch
from textual.message import Message

from cockpit.screens.painted import Dialog
from cockpit.widgets.canvas import Canvas
from cockpit.widgets.grid import Grid, Ink, fit

TOP = 3
"""Rows above the list: heading, what was typed, a gap."""


class Item(NamedTuple):
    """Something to choose: key is the answer, name is searched, about explains; marked is for what
    is chosen already."""

    key: str
    name: str
    about: str = ""
    marked: bool = False


def found(items: Sequence[Item], query: str) -> list[Item]:
    """The items whose name, or explanation, has the letters of the query in their order, the best
    first; all of them for no query."""
    if not query.strip():
        return list(items)
    search = FuzzySearch(case_sensitive=False)

    def score(item: Item) -> float:
        by_name = search.match(query, item.name)[0]
        whole = query.lower() in item.about.lower()
        return by_name or 0.5 * whole

    scored = [(score(item), item) for item in items]
    return [item for points, item in sorted(scored, key=lambda one: -one[0]) if points > 0]


class Choices(Canvas):
    """What was typed, and what it finds."""

    class Chosen(Message):
        """A line was clicked."""

    def __init__(self, heading: str, items: Sequence[Item]) -> None:
        super().__init__()
        self.heading, self.items, self.query_text, self.cursor = heading, items, "", 0
        self.found = list(items)

    def search(self, query: str) -> None:
        """Look for something else."""
        self.query_text, self.cursor = query, 0
        self.found = found(self.items, query)
        self.redraw()

    def move(self, by: int) -> None:
        """The cursor, from the last to the first and back."""
        if self.found:
            self.cursor = (self.cursor + by) % len(self.found)
        self.redraw()

    def _first(self, height: int) -> int:
        """The item in the first row of the list."""
        room = max(height - TOP, 1)
        return max(0, min(self.cursor - room // 2, len(self.found) - room))

    def draw(self, width: int, height: int) -> Grid:
        """Heading, query, list."""
        grid = Grid(width, height)
        grid.put(0, 1, fit(self.heading, width - 2), Ink.TITLE)
        column = grid.put(1, 1, "/ ", Ink.KEY)
        column = grid.put(1, column, self.query_text)
        grid.put(1, column, " ", Ink.CURSOR)
        if not self.found:
            grid.put(TOP, 3, "nothing has these letters", Ink.DIM)
        widest = max((len(item.name) for item in self.items), default=0)
        first = self._first(height)
        for row, item in enumerate(self.found[first : first + height - TOP]):
            line = Grid(width, 1)
            line.put(0, 1, "✓" if item.marked else " ", Ink.GOOD)
            line.put(0, 3, fit(item.name, width - 4))
            line.put(0, widest + 5, fit(item.about, width - widest - 6), Ink.DIM)
            if first + row == self.cursor:
                line.inks[:] = Ink.CURSOR
            grid.paste(TOP + row, 0, line)
        return grid

    def on_click(self, event: Click) -> None:
        """Chooses a line."""
        row = event.screen_y - self.content_region.y - TOP
        at = self._first(self.content_region.height) + row
        if row >= 0 and at < len(self.found):
            self.cursor = at
            self.post_message(self.Chosen())

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        """Up."""
        event.stop()
        self.move(-1)

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        """Down."""
        event.stop()
        self.move(1)


class Pick(Dialog[str]):
    """Shows a list; its result is the key of the chosen item, "" for none."""

    CSS = """
    Pick { align: center middle; background: #000000 40%; }
    Pick Choices { max-width: 100%; max-height: 100%; padding: 1 1 0 1; background: $background;
                   border: round $edge; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Cancel"),
        Binding("up,ctrl+p", "move(-1)", show=False, priority=True),
        Binding("down,ctrl+n,tab", "move(1)", show=False, priority=True),
        Binding("pageup", "move(-10)", show=False),
        Binding("pagedown", "move(10)", show=False),
        Binding("enter", "choose", show=False),
    ]

    def __init__(self, heading: str, items: Sequence[Item]) -> None:
        super().__init__()
        self._choices = Choices(heading, items)

    def compose(self) -> ComposeResult:
        """The box."""
        choices = self._choices
        widest = max((len(item.name) for item in choices.items), default=20)
        about = max((len(item.about) for item in choices.items), default=0)
        choices.styles.width = min(max(widest + about + 12, len(choices.heading) + 8), 100)
        choices.styles.height = len(choices.items) + TOP + 4
        yield choices

    def on_key(self, event: Key) -> None:
        """Letters go to the query."""
        query = self._choices.query_text
        if event.key == "backspace":
            self._choices.search(query[:-1])
        elif event.key == "ctrl+u":
            self._choices.search("")
        elif event.is_printable and event.character:
            self._choices.search(query + event.character)
        else:
            return
        event.stop()

    def on_choices_chosen(self) -> None:
        """By the mouse."""
        self.action_choose()

    def action_move(self, by: int) -> None:
        """The cursor, up or down."""
        self._choices.move(by)

    def action_choose(self) -> None:
        """What is under the cursor."""
        choices = self._choices
        self.dismiss(choices.found[choices.cursor].key if choices.found else "")

    def action_leave(self) -> None:
        """Nothing."""
        self.dismiss("")
