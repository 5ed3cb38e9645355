"""Who holds the memory of each device: the newest samples of ranks and sensors, put together.

All sizes are bytes; what is not known is None, or left out of the parts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from cockpit.widgets.render_bar import Part
from trainer.contract.messages import Gpu, Hello, Memory, Rank, System

TIGHT, FULL = 0.9, 0.97
"""Pressure from which a device is short of memory, and from which the next peak may fail."""


@dataclass(frozen=True)
class Use:
    """One device (or, on CPU, one process), and what its sensors say.

    parts lie in order from the left of a bar; total is the bar's length. outside is what the run's
    allocator does not hold: CUDA's own and other processes'.
    """

    label: str
    short: str
    parts: tuple[tuple[Part, int], ...]
    total: int | None
    used: int | None
    """Allocated; where no rank has reported yet, all that is in use."""
    on_gpu: bool = True
    reserved: int | None = None
    peak: int | None = None
    outside: int | None = None
    gpu: Gpu | None = None
    host: str = ""

    @property
    def pressure(self) -> float | None:
        """The fraction of the device that its peak fills, with what others hold beside it."""
        held = None if self.used is None else max(self.used, self.peak or 0)
        if held is None or not self.total:
            return None
        return min((held + (self.outside or 0)) / self.total, 1.0)


def uses(memory: Mapping[int, Memory], system: System | None, hello: Hello | None) -> list[Use]:
    """One for each rank: GPU ranks on their GPU, CPU ranks against the host's memory. While no
    rank has reported: the GPUs, and the ranks' processes as they are known."""
    ranks = {rank.rank: rank for rank in hello.ranks} if hello else {}
    processes = {p.rank: p.rss for p in system.processes} if system else {}
    near = _nearby(system, ranks.values())
    found = [_idle(gpu) for gpu in system.gpus] if system and not memory else []
    for number in sorted({*memory, *processes}):
        rank, sample = ranks.get(number), memory.get(number)
        index = rank.device.partition("cuda:")[2] if rank else ""
        if sample and (index or sample.device_total):
            seen = system.gpus if system and rank and rank.host in near else []
            gpu = seen[int(index)] if index and int(index) < len(seen) else None
            host = rank.host if rank else ""
            found.append(_on_gpu(sample, gpu, host))
        else:
            used = sample.allocated if sample else processes.get(number)
            found.append(_on_cpu(number, used, sample, system))
    return found


def worst(devices: Sequence[Use]) -> int | None:
    """The index of the device under the highest pressure; None where none is known."""
    known = [(use.pressure, -n) for n, use in enumerate(devices) if use.pressure is not None]
    return -max(known)[1] if known else None


def _nearby(system: System | None, ranks: Iterable[Rank]) -> set[str]:
    """The host that the sensors are on, by name; where all ranks are on one, that one."""
    hosts = {rank.host for rank in ranks}
    return hosts if len(hosts) < 2 else {system.host} if system and system.host else set()


def _on_gpu(sample: Memory, gpu: Gpu | None, host: str) -> Use:
    total = gpu.memory_total if gpu and gpu.memory_total else sample.device_total
    used = gpu.memory_used if gpu else None
    if used is None and sample.device_total and sample.device_free is not None:
        used = sample.device_total - sample.device_free
    run = gpu.memory_run if gpu else None
    reserved = max(sample.reserved, sample.allocated)
    outside = None if used is None else max(used - reserved, 0)
    own = min(max(run - reserved, 0), outside or 0) if run is not None else 0
    parts = (
        (Part.ALLOCATED, sample.allocated),
        (Part.RESERVED, reserved - sample.allocated),
        (Part.CUDA, own),
        (Part.OTHER, (outside or 0) - own),
    )
    return Use(
        label=f"rank {sample.rank}", short=str(sample.rank), parts=parts, total=total,
        used=sample.allocated, reserved=reserved, peak=sample.peak, outside=outside, gpu=gpu,
        host=host,
    )  # fmt: skip


def _idle(gpu: Gpu) -> Use:
    """A GPU on which no rank has reported yet."""
    used, run = gpu.memory_used, min(gpu.memory_run or 0, gpu.memory_used or 0)
    parts = ((Part.CUDA, run), (Part.OTHER, (used or 0) - run))
    name = f"GPU {gpu.index}"
    return Use(name, f"G{gpu.index}", parts, gpu.memory_total, used, gpu=gpu)


def _on_cpu(rank: int, used: int | None, sample: Memory | None, system: System | None) -> Use:
    """Against the host's memory, of which the others' share is told once, on the host's row."""
    return Use(
        label=f"rank {rank}", short=str(rank), parts=((Part.ALLOCATED, used or 0),),
        total=system.ram_total if system else None, used=used, on_gpu=False,
        peak=sample.peak if sample else None,
    )  # fmt: skip
