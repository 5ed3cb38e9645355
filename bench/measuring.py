"""What the scripts beside this one share: times of things that take turns, peaks of memory in
processes of their own, and Llama 4's blocks and models by size."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import ParamSpec, TypeVar

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import Llama4TextConfig
from transformers.models.llama4.modeling_llama4 import Llama4TextMoe

from trainer.llama4.grouped import product_dtype
from trainer.llama4.moe import SparseMoe

P = ParamSpec("P")
R = TypeVar("R")


def wait(device: torch.device) -> None:
    """Until the device has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def seconds(run: Callable[[], object], device: torch.device) -> float:
    """How long one call takes; with one CPU thread, what it computed itself, so that a machine
    busy with other things is no matter."""
    alone = device.type == "cpu" and torch.get_num_threads() == 1
    clock = time.process_time if alone else time.perf_counter
    wait(device)
    started = clock()
    run()
    wait(device)
    return clock() - started


def medians(
    runs: dict[str, Callable[[], object]], rounds: int, device: torch.device, warm: int = 1
) -> dict[str, float]:
    """Seconds of each, taking turns, so that a noisy machine is noisy for all; the first `warm`
    rounds do not count."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(warm + rounds):
        for name, run in runs.items():
            times[name].append(seconds(run, device))
    return {name: median(found[warm:]) for name, found in times.items()}


def in_a_process(function: Callable[P, R], *arguments: P.args, **options: P.kwargs) -> R:
    """The result of a call in a process of its own: what one measurement leaves to its allocator
    is not the next one's."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as fresh:
        return fresh.submit(function, *arguments, **options).result()


def peak_bytes(device: torch.device, reset: bool = False) -> int:
    """The most that was held since the last reset: on CUDA by torch's allocator, on a CPU the
    resident memory of this process."""
    if device.type == "cuda":
        if reset:
            torch.cuda.reset_peak_memory_stats()
        return torch.cuda.max_memory_allocated()
    if reset:
        gc.collect()
        Path("/proc/self/clear_refs").write_text("5")
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


class NoProducts(TorchDispatchMode):
    """Gives zeros for torch's own matrix products instead of computing them: they take the same
    memory, and where bfloat16 products take hours, memory can still be measured."""

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        """See the class."""
        if operator.overloadpacket in {torch.ops.aten.mm, torch.ops.aten.bmm}:
            left, right = args[:2]
            return left.new_zeros(*left.shape[:-1], right.shape[-1])
        return operator(*args, **(kwargs or {}))


def text_config(
    experts: int, hidden: int, intermediate: int, **changes: object
) -> Llama4TextConfig:
    """Llama 4's configuration in that size, every layer with experts."""
    settings: dict[str, object] = {
        "vocab_size": 4096,
        "hidden_size": hidden,
        "intermediate_size": intermediate,
        "intermediate_size_mlp": 2 * intermediate,
        "num_hidden_layers": 4,
        "num_attention_heads": max(1, hidden // 64),
        "num_key_value_heads": max(1, hidden // 128),
        "head_dim": min(64, hidden),
        "num_local_experts": experts,
        "num_experts_per_tok": 1,
        "interleave_moe_layer_step": 1,
        "pad_token_id": None,
        "use_cache": False,
    }
    return Llama4TextConfig(**(settings | changes))


def moe_block(
    kind: str, text: Llama4TextConfig, dtype: torch.dtype, device: torch.device
) -> torch.nn.Module:
    """A block with drawn weights; kind is stock (Transformers' Llama4TextMoe) or sparse (ours)."""
    torch.manual_seed(0)
    with torch.device(device):
        block = Llama4TextMoe(text).to(dtype)
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter, std=text.initializer_range)
    return SparseMoe(block) if kind == "sparse" else block


def slow_products(dtype: torch.dtype, device: torch.device) -> bool:
    """Whether torch multiplies this dtype element by element here."""
    return product_dtype(torch.empty(0, dtype=dtype, device=device)) != dtype


def named(device: torch.device) -> str:
    """The device in words."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return "1 CPU thread (its own time)" if threads == 1 else f"{threads} CPU threads"


def table(rows: list[list[str]]) -> str:
    """Columns aligned on the right; the first row is the head."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.rjust(w) for cell, w in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(lines)
