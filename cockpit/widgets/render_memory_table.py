"""Devices as rows: a name, a bar, and as many figures as there is room for, in columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from cockpit.widgets.grid import Grid, Ink
from cockpit.widgets.memory_use import FULL, TIGHT, Use
from cockpit.widgets.render_bar import bar
from cockpit.widgets.units import gib, part

LABEL = 8
"""Columns of a row's name, here and in the rows below."""
_BAR = 12
"""Columns that a bar should have before figures take more of them."""
LEAST_BAR = 4


class Column(NamedTuple):
    """What a row tells beside its bar. wanted: the lower, the sooner it is shown; head is empty
    where the figure says itself what it is."""

    wanted: int
    head: str
    figure: Callable[[Use], str]

    def text(self, use: Use) -> str:
        """Its figure of one device; a process that is on none has only the first."""
        return self.figure(use) if use.on_gpu or not self.wanted or self in ON_CPU else ""

    def width(self, devices: Sequence[Use], headed: bool) -> int:
        """Of its widest figure, and of its heading if there is one."""
        return max(len(self.head) * headed, *(len(self.text(use)) for use in devices))


def _known(value: float | None, unit: str) -> str:
    return "NA" if value is None else f"{value:.0f}{unit}"


def _told(size: int | None) -> str:
    """What a rank tells; nothing before it does."""
    return "" if size is None else gib(size)


def _power(use: Use) -> str:
    power, limit = (use.gpu.power, use.gpu.power_limit) if use.gpu else (None, None)
    return f"{power:.0f}/{limit:.0f} W" if power and limit else _known(power, " W")


def _busy(use: Use) -> str:
    busy = use.gpu.utilisation if use.gpu else None
    return _known(None if busy is None else 100 * busy, " %")


def _temperature(use: Use) -> str:
    return _known(use.gpu.temperature if use.gpu else None, " °C")


COLUMNS = (
    Column(0, "allocated", lambda use: part(use.used, use.total)),
    Column(4, "peak", lambda use: _told(use.peak)),
    Column(5, "reserved", lambda use: _told(use.reserved)),
    Column(6, "others", lambda use: "" if use.reserved is None else gib(use.outside)),
    Column(1, "", _busy),
    Column(2, "", _temperature),
    Column(3, "", _power),
)
ON_CPU = (
    Column(0, "resident", lambda use: part(use.used, use.total)),
    Column(1, "peak", lambda use: _told(use.peak)),
)


def chosen(devices: Sequence[Use], width: int, headed: bool) -> tuple[Column, ...]:
    """The columns for which there is room beside a bar that is worth looking at; those that need
    a heading only under one."""
    kinds = COLUMNS if any(use.on_gpu for use in devices) else ON_CPU
    taken: list[Column] = []
    room = width - LABEL
    for column in sorted(kinds):
        needs = column.width(devices, headed) + 2 * bool(taken)
        if taken and (room - needs < _BAR or (column.head and not headed)):
            continue
        room -= needs
        taken.append(column)
    return tuple(column for column in kinds if column in taken)


class Plan(NamedTuple):
    """How devices are shown. start is the column where figures begin, behind the bars; below are
    the columns that get a second row under each device, for want of room beside its bar."""

    devices: Sequence[Use]
    columns: tuple[Column, ...]
    start: int
    headed: bool
    below: tuple[Column, ...] = ()

    @property
    def rows(self) -> int:
        """Rows that the table takes."""
        return self.headed + len(self.devices) * (2 if self.below else 1)


def plan(devices: Sequence[Use], width: int, height: int, least: int) -> Plan:
    """Within a height that has room for a row each. least is what else stands where the figures
    do, in columns."""
    kinds = COLUMNS if any(use.on_gpu for use in devices) else ON_CPU
    headed = height > len(devices)
    columns = chosen(devices, width, headed)
    # A heading over what says itself what it is would be a waste of a row.
    headed = headed and any(column.head for column in columns if column.wanted)
    below = tuple(column for column in sorted(kinds) if column not in columns)
    if headed or height < 2 * len(devices):
        below = ()
    figures = sum(column.width(devices, headed) + 2 for column in columns) - 2
    return Plan(devices, columns, max(width - max(figures, least), LABEL + 1), headed, below)


def table(grid: Grid, row: int, how: Plan) -> int:
    """Draw the rows; the row behind them."""
    if how.headed:
        heads = [column.head for column in how.columns]
        _figures(grid, row, how, heads, Ink.DIM)
        row += 1
    for use in how.devices:
        _device(grid, row, how, use)
        row += 1
        if how.below:
            texts = [(column.head, column.text(use)) for column in how.below]
            _listed(grid, row, [f"{head} {text}".strip() for head, text in texts if text])
            row += 1
    return row


def _device(grid: Grid, row: int, how: Plan, use: Use) -> None:
    ink = severity(use)
    grid.put(row, 0, use.label, Ink.DIM if ink is None else ink)
    if ink is not None:
        grid.put(row, LABEL - 1, "!", ink)
    length = how.start - 1 - LABEL
    if length >= LEAST_BAR and use.total and use.used is not None:
        peak = use.peak if use.on_gpu else None
        bar(grid, row, LABEL, length, use.parts, use.total, peak, bad(use))
    _figures(grid, row, how, [column.text(use) for column in how.columns], Ink.TEXT)


def _figures(grid: Grid, row: int, how: Plan, texts: Sequence[str], ink: Ink) -> None:
    at = how.start if how.start - 1 - LABEL >= LEAST_BAR else LABEL
    for column, text in zip(how.columns, texts, strict=True):
        width = column.width(how.devices, how.headed)
        grid.put(row, at, text.rjust(width), Ink.DIM if column.wanted else ink)
        at += width + 2


def _listed(grid: Grid, row: int, texts: Sequence[str]) -> None:
    column = LABEL
    for number, text in enumerate(texts):
        if number and column + 3 + len(text) > grid.width:
            return
        column = grid.put(row, column, f" · {text}" if number else text, Ink.DIM)


def severity(use: Use) -> Ink | None:
    """How a device under pressure is marked."""
    pressure = use.pressure or 0.0
    return Ink.BAD if pressure >= FULL else Ink.WARN if pressure >= TIGHT else None


def bad(use: Use) -> Ink | None:
    """The ink of the bar of a device whose next peak may fail."""
    return Ink.BAD if severity(use) is Ink.BAD else None
