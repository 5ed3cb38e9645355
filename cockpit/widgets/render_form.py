"""The form of a launch: keys, values, what they mean, and what is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from cockpit.widgets.grid import Grid, Ink, fit, title
from cockpit.widgets.line_edit import LineEdit
from cockpit.widgets.render_events import wrap

KEY, VALUE = 3, 30
"""The columns in which keys and values begin."""
HEAD, FOOT = 3, 5
"""Rows above the values, and below them."""


class FormRow(NamedTuple):
    """was is what the preset says, where that differs; wrong marks the value that is."""

    key: str
    text: str
    was: str = ""
    wrong: bool = False
    about: str = ""
    choices: tuple[str, ...] = ()


class FormShown(NamedTuple):
    """cursor is the row under it; that after the last is the start. edit is the text of that row
    while it is typed."""

    heading: str
    description: str
    rows: Sequence[FormRow]
    cursor: int
    edit: LineEdit | None
    problem: str
    changes: int


def form(width: int, height: int, shown: FormShown) -> Grid:
    """Heading, values, what the one under the cursor means, and the start."""
    grid = Grid(width, height)
    title(grid, shown.heading)
    grid.put(1, 1, fit(shown.description, width - 2), Ink.DIM)
    room = max(height - HEAD - FOOT, 1)
    top = first(len(shown.rows), shown.cursor, room)
    for n, row in enumerate(shown.rows[top : top + room]):
        chosen = top + n == shown.cursor
        grid.paste(HEAD + n, 0, _row(width, row, shown.edit if chosen else None, chosen))
    if top:
        grid.put(HEAD - 1, KEY, "↑ more", Ink.FAINT)
    if top + room < len(shown.rows):
        grid.put(HEAD + room, KEY, "↓ more", Ink.FAINT)
    _foot(grid, shown)
    return grid


def first(rows: int, cursor: int, room: int) -> int:
    """The row that is drawn first, so that the cursor's is seen."""
    return max(0, min(cursor - room // 2, rows - room))


def _row(width: int, row: FormRow, edit: LineEdit | None, chosen: bool) -> Grid:
    line = Grid(width, 1)
    ink = Ink.BAD if row.wrong else Ink.STRONG if row.was else Ink.TEXT
    line.put(0, KEY, fit(row.key, VALUE - KEY - 1), Ink.TITLE if chosen else Ink.DIM)
    room = max(width - VALUE - 1, 1)
    note = f"was {row.was}" if row.was else ""
    space = max(min(room - len(note) - 2, room), 8) if note else room
    if chosen:
        line.put(0, 1, "›", Ink.KEY)
    if edit is not None:
        edit.draw(line, 0, VALUE, space, ink)
    else:
        line.put(0, VALUE, fit(row.text, space), ink)
    if note and VALUE + max(len(row.text), 1) + len(note) + 3 < width:
        line.put_right(0, note, Ink.DIM, 1)
    if row.wrong:
        line.put(0, VALUE - 2, "✗", Ink.BAD)
    return line


def _foot(grid: Grid, shown: FormShown) -> None:
    """Two rows that explain, or say what is wrong; the start."""
    at = grid.height - FOOT + 1
    if at <= HEAD:
        at = grid.height - 1
    elif shown.problem:
        grid.put(at, 1, "✗", Ink.BAD)
        for n, line in enumerate(wrap(shown.problem, grid.width - 5, 2)):
            grid.put(at + n, KEY, line, Ink.BAD)
    elif shown.cursor < len(shown.rows):
        for n, line in enumerate(wrap(_told(shown.rows[shown.cursor]), grid.width - 5, 2)):
            grid.put(at + n, KEY, line, Ink.DIM)
    row = grid.height - 1
    chosen = shown.cursor >= len(shown.rows)
    ink = Ink.DIM if shown.problem else Ink.CURSOR if chosen else Ink.GOOD
    end = grid.put(row, 1, "› start " if chosen else "  start ", ink)
    text = "" if not shown.changes else f"{shown.changes} changed"
    if shown.problem:
        text = "mend what is marked first"
    grid.put(row, end + 2, text, Ink.DIM)


def _told(row: FormRow) -> str:
    if not row.choices:
        return row.about
    return f"← →: {', '.join(row.choices)}. {row.about}"
