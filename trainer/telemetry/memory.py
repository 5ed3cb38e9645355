"""How much memory a rank uses."""

from __future__ import annotations

import resource
import time
from typing import NamedTuple

import psutil
import torch

from trainer.contract.messages import Memory
from trainer.engines import Engine


class _Reading(NamedTuple):
    """Counters since the start, and when they were read."""

    at: float
    read: int
    written: int
    waited: float


class MemoryGauge:
    """Samples one rank; rates are those since the sample before."""

    def __init__(self, engine: Engine, rank: int) -> None:
        self._engine, self._rank = engine, rank
        self._before: _Reading | None = None

    def sample(self, step: int) -> Memory:
        """Memory of this rank now; see `Memory` for what the fields mean on CPU."""
        device_free = device_total = None
        if self._engine.device.type == "cuda":
            allocated = torch.cuda.memory_allocated()
            reserved, peak = torch.cuda.memory_reserved(), torch.cuda.max_memory_allocated()
            device_free, device_total = torch.cuda.mem_get_info()
        else:
            allocated = reserved = psutil.Process().memory_info().rss
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        offloaded = self._engine.offloaded()
        sample = Memory(
            step=step,
            rank=self._rank,
            allocated=allocated,
            reserved=reserved,
            peak=max(peak, allocated),
            host_pinned=offloaded.pinned,
            offload_cpu=offloaded.cpu,
            offload_nvme=offloaded.nvme,
            device_free=device_free,
            device_total=device_total,
            nvme_free=offloaded.free,
        )
        if offloaded.free is not None:
            waited = self._engine.waited()
            now = _Reading(time.monotonic(), offloaded.read, offloaded.written, waited)
            self._rates(sample, now)
        return sample

    def _rates(self, sample: Memory, now: _Reading) -> None:
        before, self._before = self._before, now
        if before is not None and now.at > before.at:
            seconds = now.at - before.at
            sample.nvme_read = (now.read - before.read) / seconds
            sample.nvme_write = (now.written - before.written) / seconds
            sample.offload_wait = min((now.waited - before.waited) / seconds, 1.0)
