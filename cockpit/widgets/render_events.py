"""The event list: what happened, newest at the bottom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from cockpit.widgets.grid import Grid, Ink, title
from cockpit.widgets.units import clock

Tone: TypeAlias = Literal["quiet", "note", "good", "warning", "bad"]
MARKS: dict[Tone, tuple[str, int]] = {
    "quiet": ("·", Ink.FAINT),
    "note": ("•", Ink.BUSY),
    "good": ("✓", Ink.GOOD),
    "warning": ("!", Ink.WARN),
    "bad": ("✗", Ink.BAD),
}
TEXT_COLUMN = 11


@dataclass(frozen=True)
class Event:
    """Something that happened. advice says what is or can be done about it."""

    time: float
    tone: Tone
    text: str
    advice: str = ""


def events_panel(width: int, height: int, events: Sequence[Event], back: int = 0) -> Grid:
    """The newest events, `back` lines up from the end."""
    grid = Grid(width, height)
    rows = max(height - 1, 0)
    lines = newest_lines(events, width - TEXT_COLUMN, rows + back)
    last = len(lines) - min(back, max(len(lines) - rows, 0))
    title(grid, "events", f"{back} newer below" if last < len(lines) else "")
    for row, (event, text, first) in enumerate(lines[max(last - rows, 0) : last], 1):
        mark, ink = MARKS[event.tone]
        if first:
            grid.put(row, 0, clock(event.time), Ink.DIM)
            grid.put(row, 9, mark, ink)
        loud = event.tone in ("warning", "bad")
        grid.put(row, TEXT_COLUMN, text, ink if loud else Ink.DIM if event.tone == "quiet" else 0)
    if not lines and rows:
        grid.put(1, 0, "nothing yet", Ink.DIM)
    return grid


def newest_lines(events: Sequence[Event], width: int, wanted: int) -> list[tuple[Event, str, bool]]:
    """The last lines of the list, wrapped; only the events that are needed are looked at."""
    lines: list[tuple[Event, str, bool]] = []
    for event in reversed(events):
        text = f"{event.text} — {event.advice}" if event.advice else event.text
        wrapped = wrap(text, width)
        lines[:0] = [(event, part, number == 0) for number, part in enumerate(wrapped)]
        if len(lines) >= wanted:
            break
    return lines


def wrap(text: str, width: int, most: int = 3) -> list[str]:
    """The text in lines of at most width, broken at blanks where it can be; the last of `most`
    lines ends in … if there was more."""
    words, lines = text.split(), [""]
    for index, word in enumerate(words):
        joined = f"{lines[-1]} {word}" if lines[-1] else word
        if len(joined) <= width:
            lines[-1] = joined
        elif len(lines) == most:
            rest = " ".join([lines[-1], *words[index:]]).strip()
            lines[-1] = rest[: max(width - 1, 0)] + "…"
            break
        elif lines[-1]:
            lines.append(word)
        else:
            lines[-1] = word
    return [line if len(line) <= width else line[: max(width - 1, 0)] + "…" for line in lines]
