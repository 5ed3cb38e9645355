"""Lines of the trainer's log, with rank and level."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from cockpit.logbook import DEBUG, ERROR, WARNING, Line
from cockpit.widgets.grid import Grid, Ink, title
from cockpit.widgets.render_events import MARKS

TEXT = 6
"""The column in which a line's text begins."""


class LogShown(NamedTuple):
    """cursor is the row of the line under it, None where there is none; filters says what is left
    out; place, where in the log one is; query is marked in the lines."""

    lines: Sequence[Line]
    cursor: int | None = None
    filters: str = ""
    place: str = ""
    query: str = ""
    shift: int = 0


def log_panel(width: int, height: int, shown: LogShown) -> Grid:
    """A title, and a line of the log in each row."""
    grid = Grid(width, height)
    title(grid, "trainer.log", shown.place, shown.filters)
    for row, line in enumerate(shown.lines[: max(height - 1, 0)], 1):
        one = Grid(width, 1)
        _line(one, line, shown)
        if shown.cursor == row - 1:
            one.inks[one.inks != Ink.CURSOR_DIM] = Ink.CURSOR
        grid.paste(row, 0, one)
    if not shown.lines and height > 1:
        text = "no line is left with these filters" if shown.filters else "nothing was printed yet"
        grid.put(1, TEXT, text, Ink.DIM)
    return grid


def _line(one: Grid, line: Line, shown: LogShown) -> None:
    if line.attempt:
        title(one, line.text.strip("- "))
        return
    ink = int(Ink.TEXT)
    if line.level >= WARNING:
        mark, ink = MARKS["bad" if line.level == ERROR else "warning"]
        one.put(0, 4, mark, ink)
    elif line.level == DEBUG:
        ink = Ink.DIM
    if line.rank is not None:
        one.put(0, 0, f"{line.rank:>3}", Ink.DIM)
    text = line.text.expandtabs(4)
    seen = text[shown.shift :]
    one.put(0, TEXT, seen, ink)
    if shown.shift:
        one.put(0, TEXT - 1, "…", Ink.DIM)
    if len(seen) > one.width - TEXT:
        one.put_right(0, "…", Ink.DIM)
    for start in _hits(seen, shown.query):
        one.put(0, TEXT + start, seen[start : start + len(shown.query)], Ink.CURSOR_DIM)


def _hits(text: str, query: str) -> list[int]:
    wanted, low, hits = query.casefold(), text.casefold(), []
    at = low.find(wanted) if wanted and len(low) == len(text) else -1
    while at >= 0:
        hits.append(at)
        at = low.find(wanted, at + len(wanted))
    return hits
