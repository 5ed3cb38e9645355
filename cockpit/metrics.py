"""What can be charted of a run: the name of each metric, its unit, and the columns that hold it.

A metric that the run has no numbers for is not listed, so a journal with fewer kinds of messages
makes a shorter list.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from cockpit.columns import PARTS
from cockpit.decimate import Track
from cockpit.peaks import bf16_peak
from cockpit.source import Source

GIB, MIB = 2.0**30, 2.0**20
FEW = 8
"""Lines that can still be told apart; of more, only the highest and the lowest are drawn."""


@dataclass(frozen=True)
class Line:
    """One line of a metric: scale × a column of a track. raw: its own points joined, not a band
    with a smoothed line in it."""

    label: str
    track: Track
    column: str
    scale: float = 1.0
    raw: bool = False


Lines: TypeAlias = list[Line]


@dataclass(frozen=True)
class Metric:
    """name is stable (settings may hold it); label and about are for people; a stack's lines add
    up to a whole."""

    name: str
    label: str
    about: str
    lines: Callable[[Source], Lines]
    kind: Literal["lines", "stack"] = "lines"

    def among(self, source: Source) -> Lines:
        """Its lines that have a number at least."""
        return [line for line in self.lines(source) if _has_numbers(line)]


def _has_numbers(line: Line) -> bool:
    values = line.track[line.column]
    # The newest suffice nearly always; all are looked at only where these are gaps.
    return any(len(some) and not np.isnan(np.fmax.reduce(some)) for some in (values[-64:], values))


def available(source: Source) -> list[Metric]:
    """The metrics that a run has numbers for, in the order of the list."""
    return [metric for metric in METRICS if metric.among(source)]


def find(name: str) -> Metric:
    """The metric of that name; raises KeyError."""
    return _BY_NAME[name]


def _step(column: str, label: str) -> Callable[[Source], Lines]:
    return lambda source: [Line(label, source.series, column)]


def _loss(source: Source) -> Lines:
    return [Line("loss", source.series, "loss"), *_table("eval", loss="eval loss")(source)]


def _table(kind: str, scale: float = 1.0, **columns: str) -> Callable[[Source], Lines]:
    """Lines of the one table of a kind: column=label."""

    def lines(source: Source) -> Lines:
        tables = source.figures.kind(kind).values()
        return [
            Line(label, table, column, scale, raw=True)
            for table in tables
            for column, label in columns.items()
        ]

    return lines


def _each(kind: str, label: str, column: str, scale: float = 1.0) -> Callable[[Source], Lines]:
    """A line for each rank or GPU, unless none of them ever has more than zero."""

    def lines(source: Source) -> Lines:
        tables = source.figures.kind(kind)
        if not any((table[column] > 0).any() for table in tables.values()):
            return []
        return [
            Line(f"{label} {number}", table, column, scale, raw=True)
            for number, table in tables.items()
        ]

    return lines


def _mfu(source: Source) -> Lines:
    """tokens/s × FLOP a token, as a part of what the GPUs could do at most: what is computed again
    under activation checkpointing does not count."""
    figures = source.figures
    hello, peak = figures.hello, bf16_peak(figures.gpu_name)
    if hello is None or peak is None or not hello.model.flops_per_token:
        return []
    gpus = sum(rank.device.startswith("cuda") for rank in hello.ranks)
    if not gpus:
        return []
    scale = 100 * hello.model.flops_per_token / (gpus * peak)
    return [Line("MFU", source.series, "tokens_per_second", scale)]


def _split(source: Source) -> Lines:
    series = source.series
    return [Line(part, series, f"split.{part}", raw=True) for part in PARTS]


METRICS = (
    Metric("loss", "loss", "training loss of each step, and of evaluations", _loss),
    Metric("eval_loss", "eval loss", "loss on held-out data", _table("eval", loss="eval loss")),
    Metric("lr", "learning rate", "of each step", _step("lr", "learning rate")),
    Metric("grad_norm", "gradient norm", "before clipping", _step("grad_norm", "gradient norm")),
    Metric("tokens_per_second", "tokens/s", "of all ranks", _step("tokens_per_second", "tokens/s")),
    Metric("mfu", "MFU, %", "matrix products done of those possible in bf16", _mfu),
    Metric("seconds", "step time, s", "from one step's end to the next", _step("seconds", "step")),
    Metric("split", "step time by part, s", "what a step's time goes into", _split, "stack"),
    Metric("memory", "memory, GiB", "allocated on each rank's device (on CPU: resident)",
           _each("memory", "rank", "allocated", 1 / GIB)),
    Metric("memory_reserved", "memory reserved, GiB", "held by each rank's allocator",
           _each("memory", "rank", "reserved", 1 / GIB)),
    Metric("memory_peak", "memory peak, GiB", "most allocated so far, by rank",
           _each("memory", "rank", "peak", 1 / GIB)),
    Metric("host_pinned", "pinned memory, GiB", "page-locked host memory, by rank",
           _each("memory", "rank", "host_pinned", 1 / GIB)),
    Metric("offload_cpu", "offloaded to RAM, GiB", "training state in host memory, by rank",
           _each("memory", "rank", "offload_cpu", 1 / GIB)),
    Metric("offload_nvme", "offloaded to disk, GiB", "training state on NVMe, by rank",
           _each("memory", "rank", "offload_nvme", 1 / GIB)),
    Metric("nvme_read", "swapped in, MiB/s", "training state read from NVMe, by rank",
           _each("memory", "rank", "nvme_read", 1 / MIB)),
    Metric("nvme_write", "swapped out, MiB/s", "training state written to NVMe, by rank",
           _each("memory", "rank", "nvme_write", 1 / MIB)),
    Metric("offload_wait", "waiting for NVMe, %", "of the time, by rank: standing still for it",
           _each("memory", "rank", "offload_wait", 100.0)),
    Metric("share", "expert share, × even", "the busiest and the idlest expert of any layer",
           _table("share", largest="busiest", smallest="idlest")),
    Metric("aux_loss", "balance loss", "1 is even, more is one-sided",
           _table("balance", aux_loss="balance loss")),
    Metric("z_loss", "router z-loss", "how large the routers' logits are",
           _table("balance", z_loss="z-loss")),
    Metric("updates", "expert update norm", "how far experts moved: are they learning?",
           _table("updates", largest="most", median="median", smallest="least")),
    Metric("gpu_utilisation", "GPU utilisation, %", "by GPU, as NVML counts it",
           _each("gpu", "GPU", "utilisation", 100.0)),
    Metric("gpu_memory", "GPU memory used, GiB", "by GPU, of all processes",
           _each("gpu", "GPU", "memory_used", 1 / GIB)),
    Metric("gpu_temperature", "GPU temperature, °C", "by GPU",
           _each("gpu", "GPU", "temperature")),
    Metric("gpu_power", "GPU power, W", "by GPU", _each("gpu", "GPU", "power")),
    Metric("host_ram", "host RAM used, GiB", "by all processes of the host",
           _table("host", 1 / GIB, ram_used="RAM")),
    Metric("host_cpu", "host CPU, %", "of all cores", _table("host", 100.0, cpu="CPU")),
    Metric("disk_write", "disk writes, MiB/s", "of the host",
           _table("host", 1 / MIB, disk_write="writes")),
    Metric("disk_read", "disk reads, MiB/s", "of the host",
           _table("host", 1 / MIB, disk_read="reads")),
    Metric("network", "network, MiB/s", "of the host, all of its interfaces",
           _table("host", 1 / MIB, net_sent="sent", net_received="received")),
)  # fmt: skip
"""All of them, in the order in which they are offered."""
_BY_NAME = {metric.name: metric for metric in METRICS}
