"""Below the devices: the host's memory, state that lies off the devices, disks, and what the time
of a step went into."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from cockpit.widgets.grid import Grid, Ink
from cockpit.widgets.render_bar import Part, bar
from cockpit.widgets.render_memory_table import LABEL, LEAST_BAR
from cockpit.widgets.units import gib, part, short_seconds
from trainer.contract.messages import Memory, System

STEP_PARTS = {
    part.title: part
    for part in (
        Part.DATA, Part.FORWARD, Part.BACKWARD, Part.OPTIMIZER, Part.COMMUNICATION, Part.OFFLOAD,
        Part.CHECKPOINT, Part.REST,
    )
}  # fmt: skip
WAITS = 0.2
"""From this fraction of the time on, standing still for the disk is marked."""


@dataclass(frozen=True)
class Line:
    """A name, maybe a bar, and texts of which those at the end go first where room is short."""

    label: str
    texts: Sequence[tuple[str, Ink]]
    parts: Sequence[tuple[Part, float]] = field(default=())
    total: float = 0.0


def lines(
    memory: Mapping[int, Memory], system: System | None, hosts: int, step: Mapping[str, float]
) -> list[Line]:
    """In the order of their weight. hosts is how many the ranks are on; step is the mean seconds
    of a step, by part."""
    found = [*_host(system), *_step(step), *_nvme(memory), *_offload(memory, hosts)]
    return [*found, *_disk(system)]


def _host(system: System | None) -> Iterable[Line]:
    """The memory of the host that the sensors are on."""
    if system is None:
        return
    used, total = system.ram_used, system.ram_total
    ranks = min(sum(process.rss or 0 for process in system.processes), used or 0)
    cpu = "CPU NA" if system.cpu is None else f"CPU {100 * system.cpu:.0f} %"
    texts = [(part(used, total), Ink.TEXT), (cpu, Ink.DIM)]
    if system.swap_used:
        texts.append((f"swapped {gib(system.swap_used)}", Ink.WARN))
    if ranks:
        texts.append((f"ranks {gib(ranks)}", Ink.DIM))
    parts = ((Part.ALLOCATED, ranks), (Part.OTHER, (used or 0) - ranks))
    yield Line("host", texts, parts, total or 0)


def _offload(memory: Mapping[int, Memory], hosts: int) -> Iterable[Line]:
    """What of the training state lies in hosts' memory, summed over all ranks."""
    cpu = sum(sample.offload_cpu for sample in memory.values())
    pinned = sum(sample.host_pinned for sample in memory.values())
    if cpu or pinned:
        texts = [(f"{gib(cpu)} in RAM", Ink.TEXT), (f"{gib(pinned)} pinned", Ink.DIM)]
        if hosts > 1:
            texts.append((f"on {hosts} hosts", Ink.DIM))
        yield Line("offload", texts)


def _nvme(memory: Mapping[int, Memory]) -> Iterable[Line]:
    """What lies on disk; rates are the ranks' together, waiting is that of the worst."""
    size = sum(sample.offload_nvme for sample in memory.values())
    if not size:
        return
    read, write = (
        _sum(m.nvme_read for m in memory.values()),
        _sum(m.nvme_write for m in memory.values()),
    )
    waits = [m.offload_wait for m in memory.values() if m.offload_wait is not None]
    free = [m.nvme_free for m in memory.values() if m.nvme_free is not None]
    texts = [(gib(size), Ink.TEXT)]
    if waits:
        worst = max(waits)
        texts.append((f"waits {100 * worst:.0f} %", Ink.WARN if worst >= WAITS else Ink.DIM))
    texts += [(f"read {gib(read)}/s", Ink.DIM), (f"write {gib(write)}/s", Ink.DIM)]
    if free:
        texts.append((f"{gib(min(free))} free", Ink.DIM))
    yield Line("NVMe", texts)


def _sum(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _disk(system: System | None) -> Iterable[Line]:
    """The run directory's disk; rates are the ranks' where they are known, else all the host's."""
    if system is None:
        return
    texts = []
    if system.disk_free is not None:
        texts.append((f"{gib(system.disk_free)} free", Ink.TEXT))
    read = _sum(process.disk_read for process in system.processes)
    write = _sum(process.disk_write for process in system.processes)
    whose = "ranks "
    if read is None and write is None:
        read, write, whose = system.disk_read, system.disk_write, ""
    if read is not None or write is not None:
        texts += [(f"{whose}read {gib(read)}/s", Ink.DIM), (f"write {gib(write)}/s", Ink.DIM)]
    if texts:
        yield Line("disk", texts)


def _step(step: Mapping[str, float]) -> Iterable[Line]:
    total = sum(step.values())
    if total <= 0:
        return
    parts = in_order(step)
    texts = [(short_seconds(total), Ink.TEXT)]
    for kind, seconds in sorted(parts, key=lambda item: -item[1]):
        ink = Ink.WARN if kind is Part.OFFLOAD and seconds / total >= WAITS else Ink.DIM
        texts.append((f"{kind.glyph} {kind.title} {100 * seconds / total:.0f} %", ink))
    yield Line("step", texts, parts, total)


def in_order(step: Mapping[str, float]) -> list[tuple[Part, float]]:
    """The parts of a step in the order in which they come; what has no name here is the rest."""
    seconds = dict.fromkeys(STEP_PARTS.values(), 0.0)
    for name, value in step.items():
        seconds[STEP_PARTS.get(name, Part.REST)] += max(value, 0.0)
    least = 0.002 * sum(seconds.values())
    return [(kind, value) for kind, value in seconds.items() if value > least]


def draw(grid: Grid, row: int, line: Line, start: int | None) -> None:
    """One line. Bars end before column start, where the texts begin; None: without bars."""
    grid.put(row, 0, line.label, Ink.DIM)
    column = LABEL
    if start is not None and line.total > 0 and start - LABEL - 1 >= LEAST_BAR:
        bar(grid, row, LABEL, start - LABEL - 1, line.parts, line.total)
        column = start
    for number, (text, ink) in enumerate(line.texts):
        if number and column + 3 + len(text) > grid.width:
            return
        if number:
            column = grid.put(row, column, " · ", Ink.FAINT)
        column = grid.put(row, column, text, ink)


def step_table(grid: Grid, row: int, step: Mapping[str, float], start: int) -> int:
    """A row for each part of a step, longest bar for the longest part; the row behind them."""
    parts, total = in_order(step), sum(step.values())
    most = max((seconds for _, seconds in parts), default=0.0)
    label = LABEL + 6
    for kind, seconds in parts:
        grid.put(row, 0, kind.title, Ink.DIM)
        bar(grid, row, label, start - label - 1, [(kind, seconds)], most)
        share = f"{100 * seconds / total:3.0f} %"
        grid.put(row, start, f"{short_seconds(seconds):>8}  {share}")
        row += 1
    return row
