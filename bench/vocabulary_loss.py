"""The loss over the vocabulary with its gradients: ours against stock, DeepSpeed's and Liger's.

Each contender runs in a process of its own, from the last hidden states to their gradient (and the
weight's, unless --frozen): printed are the median time and the peak of memory above what the
inputs take (CUDA: of torch's allocator; CPU: of the process).

    python bench/vocabulary_loss.py                                # a CPU's share: 512 tokens
    python bench/vocabulary_loss.py --device cuda --dtype bfloat16 --tokens 8192 --hidden 5120 \
        --vocabulary 202048 [--frozen] [--predicted 0.3]           # Llama 4's shapes
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median

import torch

Loss = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
CONTENDERS = ("stock", "deepspeed", "liger", "ours")


def contender(name: str) -> Loss:
    """The function of hidden [1, T, H], weight [V, H] and labels [1, T]; imported only now, so
    that no contender pays for another's library."""
    linear = torch.nn.functional.linear
    if name == "stock":
        from transformers.loss.loss_utils import ForCausalLMLoss  # noqa: PLC0415

        return lambda h, w, labels: ForCausalLMLoss(
            linear(h, w), labels, w.shape[0], num_items_in_batch=torch.tensor(1.0)
        )
    if name == "deepspeed":
        from deepspeed.runtime.chunked_cross_entropy import ChunkedCausalLMLoss  # noqa: PLC0415

        loss = ChunkedCausalLMLoss()
        return lambda h, w, labels: loss(linear(h, w), labels, w.shape[0], 1)
    if name == "liger":
        from liger_kernel.transformers import (  # noqa: PLC0415
            LigerFusedLinearCrossEntropyLoss,
        )

        fused = LigerFusedLinearCrossEntropyLoss(reduction="sum")
        return lambda h, w, labels: fused(w, h[0, :-1], labels[0, 1:])
    from trainer.llama4.loss import predicted, summed_loss  # noqa: PLC0415

    def ours(h: torch.Tensor, w: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        positions, targets = predicted(labels)
        return summed_loss(h[0].index_select(0, positions), w, targets)

    return ours


def measure(options: argparse.Namespace) -> None:
    """One contender, in this process."""
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    device, dtype = torch.device(options.device), getattr(torch, options.dtype)
    shape = (options.vocabulary, options.hidden)
    weight = torch.randn(*shape, device=device, dtype=dtype).mul_(0.02)
    weight.requires_grad_(not options.frozen)
    hidden = torch.randn(1, options.tokens, options.hidden, device=device, dtype=dtype)
    hidden.requires_grad_()
    labels = torch.randint(options.vocabulary, (1, options.tokens), device=device)
    labels[torch.rand(labels.shape, device=device) >= options.predicted] = -100
    loss = contender(options.only)
    before, times = memory(device), []
    for _ in range(options.rounds):
        hidden.grad = weight.grad = None
        synchronize(device)
        started = time.perf_counter()
        total = loss(hidden, weight, labels)
        total.backward()
        synchronize(device)
        times.append(time.perf_counter() - started)
    peak = (peak_memory(device) - before) / 2**20
    assert hidden.grad is not None
    print(
        f"{options.only:10} {1000 * median(times[1:] or times):9.1f} ms  {peak:8.0f} MiB"
        f"   loss {total.item() / max(1, int((labels[:, 1:] != -100).sum())):.6f}"
        f"   |gradient| {hidden.grad.float().norm().item():.5f}"
    )


def synchronize(device: torch.device) -> None:
    """Wait for the device."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def memory(device: torch.device) -> int:
    """Bytes in use before the measurement; peaks count from here."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated()
    return peak_memory(device)


def peak_memory(device: torch.device) -> int:
    """Bytes at the peak."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--tokens", type=int, default=512)
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--vocabulary", type=int, default=202_048)
    parser.add_argument("--predicted", type=float, default=1.0, help="share of labelled tokens")
    parser.add_argument("--frozen", action="store_true", help="no gradient of the weight")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", choices=CONTENDERS)
    options = parser.parse_args()
    if options.only:
        measure(options)
        return
    if options.device == "cpu":
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    for name in CONTENDERS:
        words = [sys.executable, __file__, *sys.argv[1:], "--only", name]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        told = [line for line in done.stdout.splitlines() if line.startswith(name)]
        print(told[-1] if told else f"{name:10} {(done.stderr.strip() or '?').splitlines()[-1]}")


if __name__ == "__main__":
    main()
