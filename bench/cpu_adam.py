"""The AdamW update of offloaded states: torch's fused kernel against DeepSpeed's CPU Adam.

Both update the same float32 weights from the same gradients, in turn, in one process; printed are
the median times, their ratio, and how far the results are apart. Then each is stopped after some
steps and resumed from its state, and the resumed weights are compared bit by bit with those that
went on: this is what decided for torch's (docs/decisions/cpu-adam.md).

    python bench/cpu_adam.py [--millions 64] [--rounds 15] [--threads 2]
"""

from __future__ import annotations

import argparse
import copy
import os
import time
from collections.abc import Callable
from statistics import median

os.environ["DS_ACCELERATOR"] = "cpu"

import torch
from deepspeed.ops.adam import DeepSpeedCPUAdam

HYPER = {"lr": 1e-3, "betas": (0.9, 0.95), "eps": 1e-8, "weight_decay": 0.0}
Make = Callable[[list[torch.nn.Parameter]], torch.optim.Optimizer]


def torch_fused(parameters: list[torch.nn.Parameter]) -> torch.optim.Optimizer:
    """What the trainer uses."""
    return torch.optim.AdamW(parameters, fused=True, **HYPER)


def deepspeed_cpu(parameters: list[torch.nn.Parameter]) -> torch.optim.Optimizer:
    """What DeepSpeed would use."""
    return DeepSpeedCPUAdam(parameters, adamw_mode=True, **HYPER)


def weights(size: int) -> torch.nn.Parameter:
    """The same drawn weights every time."""
    return torch.nn.Parameter(torch.randn(size, generator=torch.Generator().manual_seed(0)))


def gradient(size: int, step: int) -> torch.Tensor:
    """The gradient of a step."""
    return torch.randn(size, generator=torch.Generator().manual_seed(step))


def resumed_differs(make: Make, before: int, after: int) -> int:
    """How many of 4096 weights differ at the end between a run of before + after steps and one
    that was saved and resumed in between, as a new process would."""
    size = 4096

    def steps(optimizer: torch.optim.Optimizer, p: torch.nn.Parameter, numbers: range) -> None:
        for step in numbers:
            p.grad = gradient(size, step)
            optimizer.step()

    straight, resumed = weights(size), weights(size)
    steps(make([straight]), straight, range(before + after))
    first = make([resumed])
    steps(first, resumed, range(before))
    second = make([resumed])
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    steps(second, resumed, range(before, before + after))
    return int((straight != resumed).sum())


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--millions", type=int, default=64, help="float32 weights, in millions")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    size = options.millions * 10**6
    contenders = {"torch fused": torch_fused, "DeepSpeed": deepspeed_cpu}
    parameters = {name: weights(size) for name in contenders}
    optimizers = {name: make([parameters[name]]) for name, make in contenders.items()}
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for step in range(options.rounds + 2):
        shared = gradient(size, step)
        for name, optimizer in optimizers.items():
            parameters[name].grad = shared
            started = time.perf_counter()
            optimizer.step()
            if step >= 2:
                times[name].append(time.perf_counter() - started)
    for name, seconds in times.items():
        print(f"{name:12}  {1000 * median(seconds):8.1f} ms per update (median)")
    pairs = zip(times["torch fused"], times["DeepSpeed"], strict=True)
    print(f"torch fused / DeepSpeed, pair by pair: {median(a / b for a, b in pairs):.2f}")
    one, other = parameters.values()
    print(f"largest difference of a weight: {(one - other).abs().max().item():.1e}")
    for name, make in contenders.items():
        found = [resumed_differs(make, before, 3) for before in (1, 2, 3, 4, 5, 8, 16)]
        print(f"{name:12}  weights that differ after a resume at step 1 2 3 4 5 8 16: {found}")


if __name__ == "__main__":
    main()
