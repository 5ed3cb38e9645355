"""Attention of one Llama 4 layer, forward and backward: ours against masks.

Ours are the executions of trainer/llama4/executions.py: they get the sequences. The two others
get a mask of [length, length]: `masked` is torch's SDPA as stock Transformers calls it on packed or
chunked rows, `eager` is Transformers' own path, which keeps every logit. Three layers: one that
sees a whole row as one document, one that sees packed documents (lengths drawn from an exponential
distribution), and a chunked one on one document. Printed are the median time, the peak memory above
what was there before, and the TFLOP/s of the products that have to be done (3.5 times those of the
forward, as the backward recomputes the logits).

    python bench/attention.py                         CPU: one of Scout's eight groups of heads
    python bench/attention.py --device cuda --lengths 8192 32768        Scout's 40 and 8 heads
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional
from transformers import Llama4TextConfig

from trainer.llama4.executions import EXECUTIONS, obstacles
from trainer.llama4.spans import Spans, attention_inputs

MASKED = ("masked", "eager")


class Case(NamedTuple):
    """One measurement. chunk 0: a layer that sees whole documents."""

    execution: str
    layer: str
    documents: tuple[int, ...]
    chunk: int
    options: argparse.Namespace


def spans_of(case: Case) -> Spans:
    """As the trainer makes them."""
    positions = torch.cat([torch.arange(length) for length in case.documents])[None]
    config = Llama4TextConfig(attention_chunk_size=case.chunk or None)
    inputs = attention_inputs(positions, config, torch.device(case.options.device))
    spans: Spans = inputs["attention_mask"]["chunked_attention"]
    return spans


def with_mask(name: str, spans: Spans) -> Callable[..., torch.Tensor]:
    """Stock's way: [1, heads, length, D] and a mask that all heads share."""
    starts = spans.starts_N1.long()
    token = torch.arange(int(starts[-1]), device=starts.device)
    sequence = torch.bucketize(token, starts[1:], right=True)
    sees = (sequence[:, None] == sequence) & (token[:, None] >= token)

    def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float) -> torch.Tensor:
        k, v = (t.repeat_interleave(q.shape[1] // k.shape[1], 1) for t in (k, v))
        q, k, v = (t.transpose(0, 1)[None] for t in (q, k, v))
        if name == "masked":
            mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=sees, scale=scale)
        else:
            logits = (q @ k.transpose(2, 3) * scale).masked_fill(~sees, -torch.inf)
            mixed = logits.softmax(-1) @ v
        return mixed[0].transpose(0, 1)

    return attend


def measure(case: Case) -> tuple[float, float] | str:
    """Median seconds and peak GiB, or why there are none. In a process of its own."""
    options = case.options
    device, dtype = torch.device(options.device), getattr(torch, options.dtype)
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    spans = spans_of(case)
    attend: Callable[..., torch.Tensor]
    if case.execution in MASKED:
        attend = with_mask(case.execution, spans)
    else:
        problem = next(obstacles(case.execution, device, dtype, options.head_dim, 0.0), "")
        if problem:
            return problem
        execution = EXECUTIONS[case.execution]

        def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float) -> torch.Tensor:
            return execution(q, k, v, spans, scale)

    tokens = sum(case.documents)
    shapes = [(tokens, heads, options.head_dim) for heads in (options.heads, *[options.groups] * 2)]
    inputs = [torch.randn(s, device=device, dtype=dtype, requires_grad=True) for s in shapes]
    gradient = torch.randn(shapes[0], device=device, dtype=dtype)
    times, before = [], peak_bytes(device, reset=True)
    try:
        for _ in range(options.rounds + 1):
            started = now(device)
            attend(*inputs, options.head_dim**-0.5).backward(gradient)
            times.append(now(device) - started)
    except torch.OutOfMemoryError:
        return "out of memory"
    return median(times[1:]), (peak_bytes(device) - before) / 2**30


def now(device: torch.device) -> float:
    """Seconds, once the device has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def peak_bytes(device: torch.device, reset: bool = False) -> int:
    """The most that was ever held since the last reset: on a CPU the process's resident memory."""
    if device.type == "cuda":
        if reset:
            torch.cuda.reset_peak_memory_stats()
        return torch.cuda.max_memory_allocated()
    if reset:
        gc.collect()
        Path("/proc/self/clear_refs").write_text("5")
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def layers(length: int, options: argparse.Namespace) -> Iterator[tuple[str, tuple[int, ...], int]]:
    """Name, document lengths and chunk of each kind of layer."""
    yield "full, one document", (length,), 0
    drawn = np.random.default_rng(0).exponential(options.document, 100_000).astype(int) + 1
    ends = np.cumsum(drawn)
    ends = ends[ends < length]
    documents = tuple(np.diff([0, *ends.tolist(), length]).tolist())
    yield f"full, {len(documents)} documents", documents, 0
    if length > options.chunk:
        yield f"chunks of {options.chunk}, one document", (length,), options.chunk


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--dtype", help="default: bfloat16 on cuda, float32 on cpu")
    parser.add_argument("--lengths", type=int, nargs="+", default=[2048, 4096])
    parser.add_argument("--document", type=int, default=512, help="mean tokens of a document")
    parser.add_argument("--chunk", type=int, help="default: 8192 on cuda, 1024 on cpu")
    parser.add_argument("--heads", type=int, help="default: 40 on cuda, 5 on cpu")
    parser.add_argument("--groups", type=int, help="key-value heads; default: 8 and 1")
    parser.add_argument("--head-dim", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--executions", nargs="+", help="default: all that can run there")
    options = parser.parse_args()
    gpu = options.device == "cuda"
    options.dtype = options.dtype or ("bfloat16" if gpu else "float32")
    options.chunk = options.chunk or (8192 if gpu else 1024)
    options.heads = options.heads or (40 if gpu else 5)
    options.groups = options.groups or (8 if gpu else 1)
    options.executions = options.executions or [*(EXECUTIONS if gpu else ["sdpa"]), *MASKED]
    print(f"{options.heads} heads, {options.groups} groups, {options.head_dim} numbers a head, "
          f"{options.dtype}, forward and backward, median of {options.rounds}")  # fmt: skip
    print("tokens  layer                             execution       ms     GiB  TFLOP/s")
    for length in options.lengths:
        for layer, documents, chunk in layers(length, options):
            for execution in options.executions:
                show(Case(execution, layer, documents, chunk, options))


def show(case: Case) -> None:
    """Measure and print one line."""
    # A process each: what one leaves to its allocator is not the next one's.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as fresh:
        found = fresh.submit(measure, case).result()
    begin = f"{sum(case.documents):6}  {case.layer:33} {case.execution:10}"
    if isinstance(found, str):
        print(f"{begin} {found}", flush=True)
        return
    seconds, gib = found
    pairs = sum(count * length**2 / 2 for count, length in spans_of(case).runs)
    products = 3.5 * 4 * pairs * case.options.heads * case.options.head_dim
    print(f"{begin} {seconds * 1000:8.1f} {gib:7.2f} {products / seconds / 1e12:8.3f}", flush=True)


if __name__ == "__main__":
    main()
