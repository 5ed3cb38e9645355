"""The home screen: presets to start, runs to open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from cockpit.sparks import Point, spark
from cockpit.widgets.grid import Grid, Ink, fit, title
from cockpit.widgets.render_header import state_mark
from cockpit.widgets.units import age, number


@dataclass(frozen=True)
class PresetRow:
    """A preset and its one line."""

    name: str
    description: str


@dataclass(frozen=True)
class RunRow:
    """A run as the list shows it. key is its folder: two may share an id, where one was copied.
    trace is its loss, thinned out."""

    key: str
    id: str
    name: str
    preset: str
    state: str
    step: int
    steps: int
    loss: float | None
    created: float
    trace: Sequence[Point] = field(default=(), compare=False)


Row = PresetRow | RunRow


class Shown(NamedTuple):
    """How the runs are shown: order is the column that they are sorted by, down whether the
    largest comes first; hidden is how many the query leaves out; marked are keys of rows; looking
    is whether it is not yet known which runs there are."""

    order: str = "age"
    down: bool = False
    query: str = ""
    hidden: int = 0
    marked: frozenset[str] = frozenset()
    looking: bool = False


def home(
    width: int,
    height: int,
    rows: Sequence[Row],
    cursor: int,
    now: float,
    shown: Shown = Shown(),  # noqa: B008 - immutable
) -> Grid:
    """Both lists under one cursor; the window follows it."""
    grid = Grid(width, height)
    for place, content in enumerate(_window(rows, cursor, height, shown)):
        line = Grid(width, 1)
        _line(line, content if isinstance(content, str) else rows[content], now, shown)
        if content == cursor:
            line.inks[:] = Ink.CURSOR
            line.put(0, 1, "›", Ink.CURSOR)
        grid.paste(place, 0, line)
    return grid


def row_at(
    rows: Sequence[Row],
    height: int,
    cursor: int,
    y: int,
    shown: Shown = Shown(),  # noqa: B008
) -> int | None:
    """Which row of the lists is drawn in line y; None for a line that is none."""
    lines = _window(rows, cursor, height, shown)
    found = lines[y] if 0 <= y < len(lines) else ""
    return found if isinstance(found, int) else None


_LOOKING = "looking…"
_NO_RUNS = "none yet: choose a preset above and press enter"
_NONE_FOUND = "no run has this in its name, preset or state; esc shows all"


def _window(rows: Sequence[Row], cursor: int, height: int, shown: Shown) -> list[str | int]:
    """The lines that are seen: a text, or the index of a row."""
    presets = [n for n, row in enumerate(rows) if isinstance(row, PresetRow)]
    runs: list[int | str] = [n for n, row in enumerate(rows) if isinstance(row, RunRow)]
    nothing = _LOOKING if shown.looking else _NONE_FOUND if shown.hidden else _NO_RUNS
    lines = ["start a run", *presets, "", "runs", "head", *(runs or [nothing])]
    at = lines.index(cursor) if cursor in lines else 0
    if shown.query and not runs:
        at = len(lines) - 1
    top = max(0, min(at - height + 2, len(lines) - height))
    return lines[top : top + height]


def _line(line: Grid, row: Row | str, now: float, shown: Shown) -> None:
    if isinstance(row, PresetRow):
        line.put(0, 3, fit(row.name, 15), Ink.STRONG)
        line.put(0, 20, fit(row.description, line.width - 21), Ink.DIM)
    elif isinstance(row, RunRow):
        _run(line, row, now, row.key in shown.marked)
    elif row == "head":
        _head(line, shown)
    elif row == "runs":
        title(line, row, f"{shown.hidden:,} hidden" if shown.hidden else "", _filter(shown))
    elif row == "start a run":
        title(line, row)
    else:
        line.put(0, 3, row, Ink.DIM)


def _filter(shown: Shown) -> str:
    return f"/{shown.query}" if shown.query else ""


def _head(line: Grid, shown: Shown) -> None:
    arrow = " ↓" if shown.down else " ↑"
    for column in columns(line.width):
        chosen = column.name == shown.order
        text = column.name + arrow * chosen
        ink = Ink.TEXT if chosen else Ink.DIM
        if column.right:
            line.put(0, column.at + column.width - len(text), text, ink)
        else:
            line.put(0, column.at + (column.name == "curve"), text, ink)


class Column(NamedTuple):
    """Where a column of the list lies."""

    name: str
    at: int
    width: int
    right: bool = False


def columns(width: int) -> list[Column]:
    """The columns for a width, from left to right: the narrower, the fewer."""
    wide = width >= 110
    sizes = {
        "preset": 16 if wide else 11 if width >= 78 else 0,
        "step": 17 if wide else 13,
        "loss": 10 if wide else 8,
        "curve": 20 if wide else 9 if width >= 64 else 0,
        "age": 6,
    }
    found = [Column("state", 3, 13)]
    name = max(width - 18 - sum(sizes.values()) - 1, 8)
    found.append(Column("run", 18, name))
    at = 18 + name
    for title_, size in sizes.items():
        if size:
            found.append(Column(title_, at + 1, size - 1, title_ in ("step", "loss", "age")))
        at += size
    return found


def _run(line: Grid, row: RunRow, now: float, marked: bool) -> None:
    mark, ink = state_mark(row.state)
    texts = {
        "state": (f"{mark} {row.state}", ink),
        "run": (row.name, Ink.STRONG),
        "preset": (row.preset, Ink.DIM),
        "step": (f"{row.step:,}/{row.steps:,}" if row.steps else "–", Ink.TEXT),
        "loss": (number(row.loss) if row.loss is not None else "–", Ink.TEXT),
        "age": (age(row.created, now), Ink.DIM),
    }
    for column in columns(line.width):
        if column.name == "curve":
            # Two columns before it: where the loss is written, its end would seem to touch it.
            line.put(0, column.at + 1, spark(row.trace, column.width - 2), Ink.BAND)
            continue
        text, how = texts[column.name]
        text = fit(text, column.width)
        line.put(0, column.at, text.rjust(column.width) if column.right else text, how)
    if marked:
        line.put(0, 2, "+", Ink.KEY)
