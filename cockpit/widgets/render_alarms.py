"""Alarms as people see them: the worst on the header, all of them as a list. Every severity has a
mark and a word, so that colour is not needed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from cockpit.widgets.grid import Grid, Ink, fit, title
from cockpit.widgets.units import clock, span
from trainer.contract.messages import Alarm

MARKS: dict[str, tuple[str, int]] = {
    "critical": ("!!", Ink.BAD),
    "warning": ("!", Ink.WARN),
    "note": ("i", Ink.BUSY),
}
_WORST_FIRST = tuple(MARKS)
_HINT = "enter acknowledges · a all · t log · c chart · m bell · esc back"


@dataclass(frozen=True)
class Shown:
    """An alarm on the list. seen_by names who has acknowledged it."""

    alarm: Alarm
    seen_by: str = ""


@dataclass(frozen=True)
class Badge:
    """The worst alarm for the header: the same in several lengths, the longest first."""

    texts: tuple[str, ...]
    ink: int


def ordered(alarms: Collection[Shown]) -> list[Shown]:
    """The worst first; of one severity the one that nobody has seen, then the newest."""
    return sorted(
        alarms,
        key=lambda s: (
            _WORST_FIRST.index(s.alarm.severity), bool(s.seen_by), -(s.alarm.since or 0.0)
        ),
    )  # fmt: skip


def place(alarm: Alarm) -> str:
    """Where it is: `layer 2 expert 5`, or else what."""
    parts = [
        f"{name} {number}"
        for name, number in (("layer", alarm.layer), ("expert", alarm.expert))
        if number is not None
    ]
    return " ".join(parts) or alarm.rule.replace("-", " ")


def sentence(alarm: Alarm) -> str:
    """What it says."""
    value = "" if alarm.value is None else f" at {alarm.value:.3g}"
    return alarm.text or f"{alarm.rule}: {place(alarm)}{value}"


def badge(alarms: Collection[Shown], over: bool) -> Badge | None:
    """The worst, how many more there are, and how many of all are new; over: the run has ended,
    and these are the alarms that it ended with."""
    if not alarms:
        return None
    worst = ordered(alarms)[0].alarm
    mark, ink = MARKS[worst.severity]
    fresh = sum(not shown.seen_by for shown in alarms)
    more = f" +{len(alarms) - 1}" if len(alarms) > 1 else ""
    if not over and fresh < len(alarms):
        more += f" ({fresh} new)" if fresh else " (seen)"
    was = "ended with " if over else ""
    texts = (
        f"{mark} {was}{worst.severity}: {sentence(worst).partition(';')[0]}{more}",
        f"{mark} {was}{worst.severity}: {place(worst)}{more}",
        f"{mark} {worst.severity}{more}",
        f"{mark} {len(alarms)}",
    )
    return Badge(texts, Ink.DIM if over or not fresh else ink)


def alarm_list(
    width: int, height: int, alarms: Sequence[Shown], cursor: int, now: float, muted: bool
) -> Grid:
    """The list, in the order given; the cursor stays in sight."""
    grid = Grid(width, height)
    bell = "bell off" if muted else "bell on"
    title(grid, "alarms", f"{len(alarms)} raised", bell)
    rows = max(height - 3, 0)
    first = max(0, min(cursor - rows // 2, len(alarms) - rows))
    for row, number in enumerate(range(first, min(first + rows, len(alarms))), 1):
        grid.paste(row, 0, _line(width, alarms[number], now, number == cursor))
    if not alarms and rows:
        grid.put(1, 2, "none: all is as it should be", Ink.DIM)
    grid.put(height - 1, 2, fit(_HINT, width - 4), Ink.DIM)
    return grid


def _line(width: int, shown: Shown, now: float, chosen: bool) -> Grid:
    line, alarm = Grid(width, 1), shown.alarm
    mark, ink = MARKS[alarm.severity]
    line.put(0, 0, "›" if chosen else " ", Ink.KEY)
    line.put(0, 2, f"{mark.ljust(2)} {alarm.severity}", Ink.DIM if shown.seen_by else ink)
    since = alarm.since or alarm.time
    column = 14
    if width >= 60:
        line.put(0, column, f"{clock(since)} {span(max(now - since, 0)).rjust(9)}", Ink.DIM)
        column += 20
    seen = f"  ✓ {shown.seen_by}" if shown.seen_by else ""
    seen = fit(seen, max((width - column) // 2, 0))
    line.put(0, column, fit(sentence(alarm), width - column - len(seen)))
    line.put_right(0, seen, Ink.DIM)
    if chosen:
        line.inks[:] = Ink.CURSOR
    return line
