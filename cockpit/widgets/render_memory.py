"""The memory panel: newest samples in, grid out.

Devices are rows while they fit, a map where there are more. What is seen less often gives way
first: headings, the legend, the disk, the table of a step's time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cockpit.widgets import render_memory_rest as rest
from cockpit.widgets.grid import Grid, Ink, title
from cockpit.widgets.memory_use import Use, uses
from cockpit.widgets.render_bar import Part
from cockpit.widgets.render_memory_map import device_map, layout, worst_told
from cockpit.widgets.render_memory_table import LABEL, plan, table
from cockpit.widgets.units import gib
from trainer.contract.messages import Hello, Memory, System

_BESIDE = 44
"""Columns from which a line below the devices has a bar and text side by side."""

_LEAST = 2
"""Lines below the devices that stay whatever the room: the host, and a step's time."""


def memory_panel(
    width: int,
    height: int,
    memory: Mapping[int, Memory],
    system: System | None,
    hello: Hello | None,
    step: Mapping[str, float] | None = None,
) -> Grid:
    """Devices, host, offload, disks, and a step's time. step is the mean seconds of the newest
    steps, by part."""
    grid = Grid(width, height)
    devices = uses(memory, system, hello)
    lines = rest.lines(memory, system, _hosts(hello), step or {})
    title(grid, "memory", _peak(memory))
    if not devices and not lines:
        grid.put(height // 2, 2, "no sample yet", Ink.DIM)
        return grid
    room = height - 1
    if len(devices) + min(len(lines), _LEAST) <= room:
        _rows(grid, devices, lines, step or {})
    else:
        _map(grid, devices, lines[: max(room // 3, 1)])
    return grid


def _hosts(hello: Hello | None) -> int:
    return len({rank.host for rank in hello.ranks}) if hello else 1


def _peak(memory: Mapping[int, Memory]) -> str:
    return f"peak {gib(max(m.peak for m in memory.values()))}" if memory else ""


def _rows(
    grid: Grid, devices: Sequence[Use], lines: Sequence[rest.Line], step: Mapping[str, float]
) -> None:
    room = grid.height - 1
    lines = lines[: room - len(devices)]
    row, start, spare = 1, LABEL + 1 + grid.width // 3, room - len(lines)
    if devices:
        how = plan(devices, grid.width, room - len(lines), _beside(lines))
        row, start, spare = table(grid, 1, how), how.start, spare - how.rows
    explained = spare > 1 and any(use.on_gpu for use in devices)
    spare -= 2 if explained else int(spare > 0)
    if explained:
        _legend(grid, row, devices)
    row += 2 if explained else int(row + len(lines) < grid.height)
    row = _lines(grid, row, lines, start)
    if spare > step_rows(step):
        rest.step_table(grid, row + 1, step, min(max(start, LABEL + 12), grid.width - 15))


def _beside(lines: Sequence[rest.Line]) -> int:
    """Columns of the widest figure that stands beside a bar."""
    return max((len(line.texts[0][0]) for line in lines if line.total), default=0)


def step_rows(step: Mapping[str, float]) -> int:
    """Rows of the table of a step's time."""
    return len(rest.in_order(step))


def _map(grid: Grid, devices: Sequence[Use], lines: Sequence[rest.Line]) -> None:
    room = grid.height - 1 - len(lines)
    how = layout(len(devices), grid.width, max(room - 1, 1))
    if how.rows(len(devices)) >= room:
        how = layout(len(devices), grid.width, room)
    row = device_map(grid, 1, room, devices, how)
    if row <= room:
        worst_told(grid, row, devices)
        row += 1
    left = grid.height - row - len(lines)
    if left > 2 and how.bars:
        _legend(grid, row + 1, devices)
        row += 2
    start = min(LABEL + 1 + grid.width // 3, grid.width - _beside(lines))
    _lines(grid, row + (left > 0), lines, start)


def _lines(grid: Grid, row: int, lines: Sequence[rest.Line], start: int) -> int:
    beside = grid.width >= _BESIDE
    for line in lines:
        rest.draw(grid, row, line, start if beside or line.label == "host" else None)
        row += 1
    return row


def _legend(grid: Grid, row: int, devices: Sequence[Use]) -> None:
    """What the glyphs of the bars mean, of those that are there."""
    there = {part for use in devices for part, size in use.parts if size > 0}
    there |= {Part.FREE, *({Part.PEAK} if any(use.peak for use in devices) else ())}
    column = LABEL
    for part in Part:
        if part in there and column + len(part.title) + 2 <= grid.width:
            column = grid.put(row, column, part.glyph, part.ink)
            column = grid.put(row, column, f" {part.title}  ", Ink.DIM)
