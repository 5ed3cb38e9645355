"""How much memory a rank uses."""

from __future__ import annotations

import resource

import psutil
import torch

from trainer.contract.messages import Memory
from trainer.engines import Engine


def sample(engine: Engine, rank: int, step: int) -> Memory:
    """Memory of this rank now; see `Memory` for what the fields mean on CPU."""
    if engine.device.type == "cuda":
        allocated = torch.cuda.memory_allocated()
        reserved, peak = torch.cuda.memory_reserved(), torch.cuda.max_memory_allocated()
    else:
        allocated = reserved = psutil.Process().memory_info().rss
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    offloaded = engine.offloaded()
    return Memory(
        step=step,
        rank=rank,
        allocated=allocated,
        reserved=reserved,
        peak=max(peak, allocated),
        host_pinned=offloaded.pinned,
        offload_cpu=offloaded.cpu,
        offload_nvme=offloaded.nvme,
    )
