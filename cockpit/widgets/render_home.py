"""The home screen: presets to start, runs to open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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
    """A run as the list shows it."""

    id: str
    name: str
    preset: str
    state: str
    step: int
    steps: int
    loss: float | None
    created: float


Row = PresetRow | RunRow


def home(width: int, height: int, rows: Sequence[Row], cursor: int, now: float) -> Grid:
    """Both lists under one cursor; the window follows it."""
    grid = Grid(width, height)
    for place, content in enumerate(_window(rows, cursor, height)):
        line = Grid(width, 1)
        _line(line, content if isinstance(content, str) else rows[content], now)
        if content == cursor:
            line.inks[:] = Ink.CURSOR
            line.put(0, 1, "›", Ink.CURSOR)
        grid.paste(place, 0, line)
    return grid


def row_at(rows: Sequence[Row], height: int, cursor: int, y: int) -> int | None:
    """Which row of the lists is drawn in line y; None for a line that is none."""
    shown = _window(rows, cursor, height)
    found = shown[y] if 0 <= y < len(shown) else ""
    return found if isinstance(found, int) else None


_NO_RUNS = "none yet: choose a preset above and press enter"


def _window(rows: Sequence[Row], cursor: int, height: int) -> list[str | int]:
    """The lines that are seen: a text, or the index of a row."""
    presets = [n for n, row in enumerate(rows) if isinstance(row, PresetRow)]
    runs: list[int | str] = [n for n, row in enumerate(rows) if isinstance(row, RunRow)]
    lines = ["start a run", *presets, "", "runs", "head", *(runs or [_NO_RUNS])]
    at = lines.index(cursor) if cursor in lines else 0
    top = max(0, min(at - height + 2, len(lines) - height))
    return lines[top : top + height]


def _line(line: Grid, row: Row | str, now: float) -> None:
    if isinstance(row, PresetRow):
        line.put(0, 3, fit(row.name, 15), Ink.STRONG)
        line.put(0, 20, fit(row.description, line.width - 21), Ink.DIM)
    elif isinstance(row, RunRow):
        _run(line, row, now)
    elif row == "head":
        for column, name in zip(_columns(line.width), _HEAD, strict=True):
            line.put(0, column, name, Ink.DIM)
    elif row in ("start a run", "runs"):
        title(line, row)
    else:
        line.put(0, 3, row, Ink.DIM)


_HEAD = ("state", "run", "preset", "step", "loss", "age")


def _columns(width: int) -> tuple[int, ...]:
    name = 19
    age_at = width - 6
    loss = age_at - 9
    step = loss - 17
    preset = step - min(16, max(width - 70, 10))
    return 3, name, preset, step, loss, age_at


def _run(line: Grid, row: RunRow, now: float) -> None:
    state, name, preset, step, loss, age_at = _columns(line.width)
    mark, ink = state_mark(row.state)
    line.put(0, state, f"{mark} {row.state}", ink)
    line.put(0, name, fit(row.name, preset - name - 2), Ink.STRONG)
    line.put(0, preset, fit(row.preset, step - preset - 2), Ink.DIM)
    line.put(0, step, f"{row.step:,}/{row.steps:,}" if row.steps else "–")
    line.put(0, loss, number(row.loss) if row.loss is not None else "–")
    line.put(0, age_at, age(row.created, now), Ink.DIM)
