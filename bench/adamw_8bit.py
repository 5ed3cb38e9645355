"""AdamW with moments of 8 bits: bitsandbytes and torchao against torch's fused AdamW.

Each updates the same float32 weights from the same gradients, in turn; printed are the median
time of an update, the bytes of state per weight, how far the weights went from torch's relative to
how far they went at all, and whether a resumed optimizer gives the same bits.

    python bench/adamw_8bit.py [--device cuda] [--millions 16] [--rounds 10]
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Callable
from statistics import median

import torch

HYPER = {"lr": 1e-3, "betas": (0.9, 0.95), "eps": 1e-8, "weight_decay": 0.0}
Make = Callable[[list[torch.nn.Parameter]], torch.optim.Optimizer]


def contenders() -> dict[str, Make]:
    """What is installed."""
    found: dict[str, Make] = {"torch": lambda p: torch.optim.AdamW(p, fused=True, **HYPER)}
    try:
        from bitsandbytes.optim import AdamW8bit as Bnb  # noqa: PLC0415

        found["bitsandbytes"] = lambda p: Bnb(p, **HYPER)
    except ImportError as error:
        print(f"bitsandbytes  {error}")
    try:
        from torchao.optim import AdamW8bit as Ao  # noqa: PLC0415

        found["torchao"] = lambda p: Ao(p, **HYPER)
    except ImportError as error:
        print(f"torchao       {error}")
    return found


def weights(size: int, device: str) -> torch.nn.Parameter:
    """The same drawn weights every time."""
    drawn = torch.randn(size, generator=torch.Generator().manual_seed(0))
    return torch.nn.Parameter(drawn.to(device))


def gradient(size: int, step: int, device: str) -> torch.Tensor:
    """The gradient of a step: a little more than noise, and not alike in all places."""
    chance = torch.Generator().manual_seed(step)
    wide = torch.logspace(-6, -2, size)
    return (wide * (torch.randn(size, generator=chance) + 0.3)).to(device)


def update(made: torch.optim.Optimizer, p: torch.nn.Parameter, step: int) -> float:
    """Seconds."""
    p.grad = gradient(p.numel(), step, str(p.device))
    if p.is_cuda:
        torch.cuda.synchronize()
    started = time.perf_counter()
    made.step()
    if p.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - started


def state_bytes(made: torch.optim.Optimizer, p: torch.nn.Parameter) -> int:
    """Of one parameter's state."""
    held = [v for v in made.state[p].values() if torch.is_tensor(v)]
    inner = [
        getattr(v, name)
        for v in held
        for name in getattr(v, "tensor_attrs", [])  # torchao's states are such tensors
    ]
    plain = [v for v in held if not hasattr(v, "tensor_attrs")]
    return sum(v.numel() * v.element_size() for v in [*plain, *inner])


def resumes(make: Make, device: str) -> bool:
    """Whether three steps after a load give the bits of a run that was not stopped."""
    straight, resumed = weights(8192, device), weights(8192, device)
    one, first = make([straight]), make([resumed])
    for step in range(1, 9):
        update(one, straight, step)
    for step in range(1, 6):
        update(first, resumed, step)
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    second = make([resumed])
    second.load_state_dict(torch.load(file, weights_only=False))
    for step in range(6, 9):
        update(second, resumed, step)
    return torch.equal(straight, resumed)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--millions", type=int, default=16, help="float32 weights, in millions")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    size = options.millions * 10**6
    makers = contenders()
    parameters = {name: weights(size, options.device) for name in makers}
    optimizers = {name: make([parameters[name]]) for name, make in makers.items()}
    start, times = weights(size, options.device).detach(), {name: [] for name in makers}
    for step in range(1, options.rounds + 3):
        for name, made in optimizers.items():
            times[name].append(update(made, parameters[name], step))
    went = (parameters["torch"] - start).norm()
    for name, made in optimizers.items():
        apart = (parameters[name] - parameters["torch"]).norm() / went
        print(
            f"{name:13} {1000 * median(times[name][2:]):8.1f} ms an update"
            f"  {state_bytes(made, parameters[name]) / size:5.2f} bytes a weight"
            f"  {apart.item():.4f} from torch's way  same bits after a resume:"
            f" {resumes(makers[name], options.device)}"
        )


if __name__ == "__main__":
    main()
