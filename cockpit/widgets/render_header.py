"""The run header and the footer: one look tells how the run is, and what one can press."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cockpit.widgets.grid import Grid, Ink, fit
from cockpit.widgets.render_alarms import Badge
from cockpit.widgets.render_events import MARKS, Tone, wrap
from cockpit.widgets.units import count, number, short_seconds, span

STATES: dict[str, tuple[str, int]] = {
    "starting": ("◌", Ink.BUSY),
    "loading": ("◌", Ink.BUSY),
    "compiling": ("◌", Ink.BUSY),
    "training": ("▶", Ink.GOOD),
    "evaluating": ("◇", Ink.GOOD),
    "checkpointing": ("◆", Ink.BUSY),
    "paused": ("‖", Ink.WARN),
    "stopping": ("■", Ink.WARN),
    "restarting": ("↻", Ink.WARN),
    "done": ("✓", Ink.GOOD),
    "stopped": ("■", Ink.DIM),
    "failed": ("✗", Ink.BAD),
    "lost": ("?", Ink.BAD),
}


def state_mark(state: str) -> tuple[str, int]:
    """The glyph and the ink of a state."""
    return STATES.get(state, ("·", Ink.DIM))


@dataclass(frozen=True)
class Header:
    """What the header shows. waits says what a state waits for; notice is the last failure, or
    what is wrong with the connection; role is said at the right."""

    name: str
    preset: str
    state: str
    waits: str = ""
    step: int = 0
    steps: int = 0
    loss: float | None = None
    lr: float | None = None
    tokens_per_second: float | None = None
    seconds_per_step: float | None = None
    eta: float | None = None
    attempt: int = 1
    restarts_left: int | None = None
    readonly: bool = False
    role: str = ""
    alarm: Badge | None = None
    notice: tuple[Tone, str] | None = None


def header(width: int, height: int, shown: Header) -> Grid:
    """State and name; progress and figures; the notice."""
    grid = Grid(width, height)
    mark, ink = state_mark(shown.state)
    column = grid.put(0, 0, f" {mark} {shown.state}", ink)
    if shown.waits:
        column = grid.put(0, column + 1, shown.waits, Ink.DIM)
    end = _right(grid, shown, column)
    name = fit(shown.name, max(end - column - 4, 0))
    column = grid.put(0, column + 3, name, Ink.STRONG)
    preset = f" · preset {shown.preset}"
    if column + len(preset) + 1 <= end and shown.preset:
        grid.put(0, column, preset, Ink.DIM)
    if height > 1:
        _progress(grid, shown)
    if shown.notice and height > 2:
        tone, text = shown.notice
        mark, ink = MARKS[tone]
        grid.put(2, 1, mark, ink)
        for row, line in enumerate(wrap(text, width - 4, height - 2), 2):
            grid.put(row, 3, line, ink)
    return grid


def _right(grid: Grid, shown: Header, column: int) -> int:
    """At the right end of the first row the alarm, whatever else must give way for it, and left
    of it the attempts and the role; returns where they begin."""
    end, others = grid.width - 1, _attempts(shown)
    if shown.alarm is None:
        return grid.put_right(0, others, Ink.DIM, 1)
    room = end - column - min(len(shown.name), 8) - 4
    beside = [text for text in shown.alarm.texts[:2] if len(text) + len(others) + 3 <= room]
    alone = [text for text in shown.alarm.texts if len(text) <= room]
    text = (beside or alone or shown.alarm.texts)[0 if beside or alone else -1]
    end = grid.put_right(0, text, shown.alarm.ink, 1)
    if others and len(text) + len(others) + 3 <= room:
        end = grid.put_right(0, others, Ink.DIM, grid.width - end + 3)
    return end


def _attempts(shown: Header) -> str:
    parts = ["read only"] if shown.readonly else [shown.role] if shown.role else []
    if shown.attempt > 1:
        parts.append(f"attempt {shown.attempt}")
        if shown.restarts_left is not None:
            parts.append(f"{shown.restarts_left} restart{'s' * (shown.restarts_left != 1)} left")
    return " · ".join(parts)


def _progress(grid: Grid, shown: Header) -> None:
    """`step 41/120 ━━━━──── 34 %  ETA 2 m 10 s  loss 5.1234  …`: figures at the right, as many as
    fit, in columns that do not move; the bar takes the room between."""
    width = len(f"{shown.steps:,}")
    at = f"{shown.step:,}".rjust(width)
    column = grid.put(1, 3, "step ", Ink.DIM)
    column = grid.put(1, column, at, Ink.STRONG)
    if shown.steps:
        column = grid.put(1, column, f"/{shown.steps:,}", Ink.DIM)
    free = grid.width - 1
    for label, value, size in reversed(_figures(shown, grid.width - column - 26)):
        free -= len(label) + size + 3
        grid.put(1, free + 2, label, Ink.DIM)
        grid.put(1, free + 3 + len(label), value.rjust(size) if size else value)
    if not shown.steps:
        return
    done = min(shown.step / shown.steps, 1.0)
    percent = f"{int(100 * done)} %".rjust(6)
    length = free - column - 2 - len(percent)
    if length < 4:
        return
    full = int(done * length)
    column = grid.put(1, column + 1, "━" * full, state_mark(shown.state)[1])
    column = grid.put(1, column, "─" * (length - full), Ink.TRACK)
    grid.put(1, column, percent)


def _figures(shown: Header, room: int) -> list[tuple[str, str, int]]:
    """(label, value, width), the most wanted first; only those that fit in room."""
    speed = shown.tokens_per_second
    figures = [
        ("loss", number(shown.loss) if shown.loss is not None else "–", 6),
        ("ETA", span(shown.eta) if shown.eta is not None else "–", 9),
        ("tok/s", count(speed) if speed is not None else "–", 5),
        ("step time", short_seconds(shown.seconds_per_step) if shown.seconds_per_step else "–", 7),
        ("lr", number(shown.lr) if shown.lr is not None else "–", 8),
    ]
    kept = []
    for label, value, size in figures:
        room -= len(label) + size + 3
        if room < 0:
            break
        kept.append((label, value, size))
    return kept


def footer(
    width: int, height: int, status: tuple[Tone, str] | None, keys: Sequence[tuple[str, str]]
) -> Grid:
    """What became of the last command, and under it the keys, as many as fit."""
    grid = Grid(width, height)
    if status:
        mark, ink = MARKS[status[0]]
        grid.put(0, 1, mark, ink)
        grid.put(0, 3, fit(status[1], width - 4), Ink.TEXT if ink == Ink.FAINT else ink)
    column = 1
    for key, label in keys:
        if column + len(key) + len(label) + 1 > width:
            break
        column = grid.put(height - 1, column, key, Ink.KEY)
        column = grid.put(height - 1, column + 1, label, Ink.DIM) + 2
    return grid
