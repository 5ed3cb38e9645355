"""Many devices as a map: one cell each, the worst marked and told in full below."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from cockpit.widgets.grid import Grid, Ink
from cockpit.widgets.memory_use import Use, worst
from cockpit.widgets.render_bar import bar
from cockpit.widgets.render_memory_table import bad, severity
from cockpit.widgets.units import gib, part

_CELLS = (26, 20, 14, 9, 7, 4, 2, 1)
"""Widths of a cell with its gap, from the most to the least that it tells."""
_FIGURES, _BAR, _WARM, _WIDEST = 7, 14, 20, 40
"""From which width on a cell has a figure, a bar, a temperature; and how wide it may become."""
_LEVELS = "▁▂▃▄▅▆▇█"
WORST = "▸"


class Layout(NamedTuple):
    """So many cells in a row, of such a width."""

    columns: int
    cell: int

    def rows(self, count: int) -> int:
        """Rows of so many cells."""
        return -(-count // self.columns)

    @property
    def bars(self) -> bool:
        """Whether a cell has room for one."""
        return self.cell >= _BAR


def layout(count: int, width: int, height: int) -> Layout:
    """The widest cells with which so many fit; the narrowest where none do. A row of 4, 8 or a
    multiple of 8, as hosts have GPUs, goes before a wider cell while that has room for figures."""
    whole = [_whole(min(width // cell, count)) for cell in _CELLS if cell >= _FIGURES]
    some = [min(width // cell, count) for cell in _CELLS]
    for columns in [*whole, *some]:
        if columns and -(-count // columns) <= height:
            return Layout(columns, min(width // columns, _WIDEST))
    return Layout(max(min(width, count), 1), 1)


def _whole(columns: int) -> int:
    return columns - columns % 8 if columns >= 8 else min(columns, 4)


def device_map(grid: Grid, row: int, rows: int, devices: Sequence[Use], how: Layout) -> int:
    """Draw a cell for each device, in so many rows at the most; the row behind them."""
    pressed = worst(devices)
    for number, use in enumerate(devices[: how.columns * rows]):
        at = row + number // how.columns, number % how.columns * how.cell
        _cell(grid, at, how.cell, use, number == pressed)
    return row + min(how.rows(len(devices)), rows)


def _cell(grid: Grid, at: tuple[int, int], cell: int, use: Use, is_worst: bool) -> None:
    row, column = at
    marked, pressure = severity(use), use.pressure
    ink = marked or (Ink.STRONG if is_worst else Ink.DIM)
    level = "?" if pressure is None else _LEVELS[min(int(pressure * 8), 7)]
    shade = marked or (Ink.STRONG if is_worst else Ink.FILL)
    if cell < 4:
        glyph = WORST if is_worst else "!" if marked is Ink.BAD else level
        grid.put(row, column, glyph, shade)
        return
    mark = WORST if is_worst else " "
    column = grid.put(row, column, f"{mark}{use.short:>2.3}", ink)
    if cell < _FIGURES:
        grid.put(row, column, level, shade)
        return
    percent = " NA" if pressure is None else f"{min(100 * pressure, 99.4):2.0f}%"
    if cell < 9:
        grid.put(row, column + 1, percent, ink)
        return
    figures = f" {percent}" if cell < _WARM else f" {percent} {_warm(use)}"
    room = cell - 2 - (column - at[1]) - len(figures)
    if cell >= _BAR and use.total:
        bar(grid, row, column + 1, room, use.parts, use.total, ink=bad(use))
        column += room + 1
    else:
        column = grid.put(row, column + 1, level, shade)
    grid.put(row, column, figures, ink)


def _warm(use: Use) -> str:
    temperature = use.gpu.temperature if use.gpu else None
    return " NA" if temperature is None else f"{temperature:2.0f}°"


def worst_told(grid: Grid, row: int, devices: Sequence[Use]) -> None:
    """The worst in full, then what all are like, as far as there is room."""
    pressed = worst(devices)
    if pressed is None:
        grid.put(row, 0, f"{len(devices)} devices, sizes unknown", Ink.DIM)
        return
    use = devices[pressed]
    ink = severity(use) or Ink.STRONG
    host = f" {use.host}" if use.host and len({device.host for device in devices}) > 1 else ""
    column = grid.put(row, 0, f"{WORST} {use.label}{host}", ink)
    for text in (
        part(use.used, use.total),
        f"peak {gib(use.peak)}" if use.peak else "",
        f"others {gib(use.outside)}" if use.outside else "",
        _gpu(use),
        _all(devices),
    ):
        if text and column + len(text) + 3 <= grid.width:
            column = grid.put(row, column, " · ", Ink.FAINT)
            column = grid.put(row, column, text, Ink.TEXT)


def _gpu(use: Use) -> str:
    gpu = use.gpu
    if gpu is None or gpu.utilisation is None:
        return ""
    warm = "" if gpu.temperature is None else f" {gpu.temperature:.0f} °C"
    return f"{100 * gpu.utilisation:.0f} %{warm}"


def _all(devices: Sequence[Use]) -> str:
    """Temperature and power of the GPUs that have sensors here."""
    gpus = [use.gpu for use in devices if use.gpu]
    warm = [gpu.temperature for gpu in gpus if gpu.temperature is not None]
    power = [gpu.power for gpu in gpus if gpu.power is not None]
    if not warm or not power:
        return ""
    kilowatts = f"{sum(power) / 1000:.1f} kW"
    return f"{len(gpus)} GPUs {min(warm):.0f}–{max(warm):.0f} °C {kilowatts}"
