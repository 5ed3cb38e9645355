"""The memory panel: newest samples in, grid out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cockpit.widgets.grid import Grid, Ink, fit, title
from cockpit.widgets.units import gib, part
from trainer.contract.messages import Gpu, Hello, Memory, System

LABEL = 8


@dataclass(frozen=True)
class Bar:
    """One row: a name, how full it is, figures, and further figures where there is room.

    full and soft are fractions of the bar: soft is what is held beyond what is used (reserved).
    """

    label: str
    full: float | None
    soft: float
    figures: str
    detail: str = ""


def memory_panel(
    width: int,
    height: int,
    memory: Mapping[int, Memory],
    system: System | None,
    hello: Hello | None,
) -> Grid:
    """Ranks, host and offload; ranks that do not fit are summed up in one row."""
    grid = Grid(width, height)
    ranks = rank_bars(memory, system, hello)
    tail = [*host_bars(system), *offload_rows(memory)]
    title(grid, "memory", _peak(memory))
    if not ranks and not tail:
        grid.put(height // 2, 2, "no sample yet", Ink.DIM)
        return grid
    room = height - 1
    tail = tail[: max(room - 1, 1)]
    spare = room - len(tail)
    shown = ranks if len(ranks) <= spare else ranks[: max(spare - 1, 0)]
    bars = [*shown, *tail]
    beside = all(_width(bar) <= width for bar in bars)
    tall = not beside and len(bars) + sum(bool(bar.detail) for bar in bars) <= room
    figures = max((len(_text(bar, beside)) for bar in bars if bar.full is not None), default=0)
    row = 1
    for number, bar in enumerate(bars):
        if number == len(shown) < len(ranks):
            grid.put(row, 0, f"… {len(ranks) - len(shown)} more ranks", Ink.DIM)
            row += 1
        _row(grid, row, bar, figures, beside)
        row += 1
        if tall and bar.detail:
            grid.put(row, LABEL, fit(bar.detail, width - LABEL), Ink.DIM)
            row += 1
    return grid


def _peak(memory: Mapping[int, Memory]) -> str:
    return f"peak {gib(max(m.peak for m in memory.values()))}" if memory else ""


def rank_bars(
    memory: Mapping[int, Memory], system: System | None, hello: Hello | None
) -> list[Bar]:
    """One bar per rank, GPU ranks against their GPU, CPU ranks against the host's RAM; from the
    process table alone while no rank has reported yet."""
    devices = {rank.rank: rank.device for rank in hello.ranks} if hello else {}
    gpus = {gpu.index: gpu for gpu in system.gpus} if system else {}
    processes = {p.rank: p.rss for p in system.processes} if system else {}
    bars = []
    for rank in sorted({*memory, *processes}):
        index = devices.get(rank, "cpu").partition("cuda:")[2]
        gpu = gpus.get(int(index)) if index else None
        sample = memory.get(rank)
        if index and sample:
            bars.append(_gpu_bar(rank, sample, gpu))
        else:
            used = sample.allocated if sample else processes.get(rank)
            bars.append(_cpu_bar(rank, used, sample, system))
    if not memory:
        bars += [_idle_gpu(gpu) for gpu in gpus.values()]
    return bars


def _gpu_bar(rank: int, sample: Memory, gpu: Gpu | None) -> Bar:
    total = gpu.memory_total if gpu else None
    figures = part(sample.allocated, total)
    detail = f"reserved {gib(sample.reserved)} · peak {gib(sample.peak)}"
    full = sample.allocated / total if total else None
    soft = max(sample.reserved - sample.allocated, 0) / total if total else 0.0
    return Bar(f"rank {rank}", full, soft, figures, f"{detail} · {_gpu_state(gpu)}")


def _idle_gpu(gpu: Gpu) -> Bar:
    used, total = gpu.memory_used, gpu.memory_total
    full = used / total if used is not None and total else None
    return Bar(f"GPU {gpu.index}", full, 0.0, part(used, total), _gpu_state(gpu))


def _gpu_state(gpu: Gpu | None) -> str:
    def known(value: float | None, unit: str) -> str:
        return "NA" if value is None else f"{value:.0f}{unit}"

    if gpu is None:
        return "GPU NA"
    busy = None if gpu.utilisation is None else 100 * gpu.utilisation
    return f"{known(busy, ' %')} {known(gpu.temperature, ' °C')} {known(gpu.power, ' W')}"


def _cpu_bar(rank: int, used: int | None, sample: Memory | None, system: System | None) -> Bar:
    total = system.ram_total if system else None
    full = used / total if used is not None and total else None
    detail = f"peak {gib(sample.peak)}" if sample else "resident"
    return Bar(f"rank {rank}", full, 0.0, gib(used), detail)


def host_bars(system: System | None) -> list[Bar]:
    """RAM and CPU of the host, and its disk."""
    if system is None:
        return []
    used, total = system.ram_used, system.ram_total
    full = used / total if used is not None and total else None
    cpu = "CPU NA" if system.cpu is None else f"CPU {100 * system.cpu:.0f} %"
    rows = [Bar("host", full, 0.0, part(used, total), cpu)]
    write = "" if system.disk_write is None else f"written {gib(system.disk_write)}/s"
    return [*rows, Bar("disk", None, 0.0, f"{gib(system.disk_free)} free", write)]


def offload_rows(memory: Mapping[int, Memory]) -> list[Bar]:
    """What lies elsewhere than on the devices, summed over the ranks."""
    if not memory:
        return []
    cpu = sum(sample.offload_cpu for sample in memory.values())
    nvme = sum(sample.offload_nvme for sample in memory.values())
    pinned = sum(sample.host_pinned for sample in memory.values())
    text = f"CPU {gib(cpu)} · NVMe {gib(nvme)}"
    return [Bar("offload", None, 0.0, text, f"pinned {gib(pinned)}")]


def _text(bar: Bar, with_detail: bool) -> str:
    return f"{bar.figures} · {bar.detail}" if bar.detail and with_detail else bar.figures


def _width(bar: Bar) -> int:
    """What a row takes with its detail and, where it has one, a bar worth looking at."""
    return LABEL + len(_text(bar, True)) + (0 if bar.full is None else 13)


def _row(grid: Grid, row: int, bar: Bar, figures: int, with_detail: bool) -> None:
    """Bars of a panel end in one column, whatever the figures behind them."""
    grid.put(row, 0, bar.label, Ink.DIM)
    column = LABEL
    length = grid.width - LABEL - 1 - figures
    if bar.full is not None and length >= 4:
        _bar(grid, row, LABEL, length, bar)
        column += length + 1
    column = grid.put(row, column, bar.figures)
    grid.put(row, column, _text(bar, with_detail)[len(bar.figures) :], Ink.DIM)


def _bar(grid: Grid, row: int, column: int, length: int, bar: Bar) -> None:
    full = min(round((bar.full or 0.0) * length), length)
    soft = min(round(bar.soft * length), length - full)
    if bar.full and not full:
        full = 1
    ink = Ink.BAD if (bar.full or 0) + bar.soft > 0.97 else Ink.FILL
    column = grid.put(row, column, "━" * full, ink)
    column = grid.put(row, column, "━" * soft, Ink.FILL_SOFT)
    grid.put(row, column, "─" * (length - full - soft), Ink.TRACK)
