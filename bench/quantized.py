"""Products with quantised experts against the dense product: time, memory, error.

For each way of holding a stack of experts, in turn: the bytes a weight takes, the relative error of
its values, the time to de-quantise it all group by group, and the time of forward and backward
pass of the grouped product for tokens spread evenly. The dense product is the trainer's own. On a
GPU the shapes are those of Scout's gate_up_proj, and the memory that both passes take beside
weights, x and dy is measured.

    python bench/quantized.py [--device cuda] [--tokens N] [--rounds 9] [--threads 2]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median

import torch

from trainer.llama4.grouped import grouped_mm
from trainer.llama4.quant import QuantizedStack, quantized_grouped_mm
from trainer.llama4.quant.stack import groups

KINDS = ("nf4", "int8", "fp8")
SHAPES = {"cpu": (16, 512, 2048, 4096), "cuda": (16, 5120, 16384, 8192)}
"""Experts, rows, columns, tokens."""


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--tokens", type=int)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    experts, rows, columns, tokens = SHAPES[device.type]
    tokens = options.tokens or tokens
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    print(f"[{experts}, {rows}, {columns}] {dtype}, {tokens} tokens, on {_named(device)}")

    generator = torch.Generator(device).manual_seed(0)
    weight = torch.empty(experts, rows, columns, dtype=dtype, device=device)
    weight.normal_(0.0, 0.02, generator=generator)
    x = torch.randn(tokens, rows, dtype=dtype, device=device, generator=generator)
    dy = torch.randn(tokens, columns, dtype=dtype, device=device, generator=generator)
    ends = [tokens * (expert + 1) // experts for expert in range(experts)]
    ends_E = torch.tensor(ends, dtype=torch.int32, device=device)
    stacks = {kind: QuantizedStack.of(weight, kind) for kind in KINDS}

    def dense(x: torch.Tensor) -> torch.Tensor:
        return grouped_mm(x, weight, ends_E)

    products: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {"dense": dense}
    for kind, stack in stacks.items():
        products[kind] = lambda x, stack=stack: quantized_grouped_mm(x, stack, ends)

    print("\n       bytes/weight   error   de-quantise   forward+backward   /dense   beside")
    passes = {name: lambda f=product: _both(f, x, dy) for name, product in products.items()}
    unpacking = {kind: lambda s=stack: _unpack(s, dtype) for kind, stack in stacks.items()}
    times = _medians(passes, options.rounds, device)
    unpack = _medians(unpacking, options.rounds, device)
    for name in products:
        held = stacks[name].nbytes / stacks[name].values if name in stacks else dtype.itemsize
        error = f"{_error(stacks[name], weight):8.2%}" if name in stacks else " " * 8
        spent = f"{1e3 * unpack[name]:10.2f} ms" if name in unpack else " " * 13
        beside = f"{_beside(passes[name]) / 2**20:6.0f} MiB" if device.type == "cuda" else ""
        print(
            f"{name:6} {held:12.4f} {error} {spent} {1e3 * times[name]:14.1f} ms"
            f" {times[name] / times['dense']:8.2f}  {beside}"
        )
    work = 2 * 2 * tokens * rows * columns
    print(f"\ndense: {work / times['dense'] / 1e12:.2f} TFLOP/s")


def _both(
    product: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor, dy: torch.Tensor
) -> None:
    x = x.detach().requires_grad_()
    product(x).backward(dy)


def _unpack(stack: QuantizedStack, dtype: torch.dtype) -> None:
    for first, last in groups(len(stack), stack.values // len(stack), dtype):
        stack.dequantize(first, last, dtype)


def _error(stack: QuantizedStack, weight: torch.Tensor) -> float:
    """Root mean square of the first expert's error over that of its weights."""
    wanted = weight[0].float()
    return float((stack.dequantize(0, 1, torch.float32)[0] - wanted).norm() / wanted.norm())


def _beside(run: Callable[[], None]) -> int:
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    run()
    return torch.cuda.max_memory_allocated() - before


def _medians(
    runs: dict[str, Callable[[], None]], rounds: int, device: torch.device
) -> dict[str, float]:
    """Seconds, the runs taking turns; the first two rounds are warm-up."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds + 2):
        for name, run in runs.items():
            _wait(device)
            started = time.perf_counter()
            run()
            _wait(device)
            times[name].append(time.perf_counter() - started)
    return {name: median(found[2:]) for name, found in times.items()}


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def _named(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{torch.get_num_threads()} CPU threads"


if __name__ == "__main__":
    main()
