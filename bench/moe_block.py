"""The MoE block of Llama 4, forward and backward: ours against stock Transformers.

Stock multiplies every token by every expert, ours by those that it chose. Printed, for several
numbers of tokens: the median times, taking turns, their ratio, and the peak memory above weights
and input (weights' gradients included), each in a process of its own.

Stock's products are linear in the tokens, to the last one. Where torch has no bfloat16 products of
its own (a CPU without avx512_bf16 or amx), they take hours: there stock is timed on
--stock-tokens and its time multiplied; those figures are marked with *. Its memory there is
measured with products replaced by zeros of their shapes. float32 is timed as it is, and is the
comparison to go by on such a machine.

    python bench/moe_block.py                                      hidden 512, intermediate 1024
    python bench/moe_block.py --device cuda --tokens 4096 16384    the same on a GPU
    python bench/moe_block.py --device cuda --hidden 5120 --intermediate 8192 --experts 16
"""

from __future__ import annotations

import argparse
from contextlib import nullcontext
from statistics import median

import torch
from measuring import (
    NoProducts,
    in_a_process,
    moe_block,
    named,
    peak_bytes,
    seconds,
    slow_products,
    table,
    text_config,
)

HEAD = ["dtype", "experts", "tokens", "stock", "ours", "times faster", "stock", "ours", "of stock"]


class Pass:
    """Forward and backward of one block."""

    def __init__(self, kind: str, experts: int, dtype: str, options: argparse.Namespace) -> None:
        self.device, self.dtype = torch.device(options.device), getattr(torch, dtype)
        torch.set_num_threads(options.threads)
        text = text_config(experts, options.hidden, options.intermediate)
        self.block = moe_block(kind, text, self.dtype, self.device)
        self.hidden = options.hidden

    def run(self, tokens: int) -> None:
        """On so many drawn tokens."""
        x, dy = self._drawn(tokens).requires_grad_(), self._drawn(tokens)
        self.block.zero_grad()
        self.block(x)[0].backward(dy)

    def _drawn(self, tokens: int) -> torch.Tensor:
        return torch.randn(tokens, self.hidden, device=self.device).to(self.dtype)


def times(
    experts: int, tokens: int, dtype: str, options: argparse.Namespace
) -> tuple[float, float, int]:
    """Median seconds of stock and ours, and on how many tokens stock was timed."""
    blocks = {kind: Pass(kind, experts, dtype, options) for kind in ("stock", "sparse")}
    device = blocks["stock"].device
    slow = slow_products(blocks["stock"].dtype, device)
    counts = {"sparse": tokens, "stock": min(tokens, options.stock_tokens) if slow else tokens}
    found: dict[str, list[float]] = {"stock": [], "sparse": []}
    for kind, block in blocks.items():
        if not (slow and kind == "stock"):  # nothing of it is worth warming up
            block.run(counts[kind])
    for turn in range(options.rounds):
        for kind, block in blocks.items():
            if slow and kind == "stock" and turn:
                continue
            found[kind].append(seconds(lambda b=block, n=counts[kind]: b.run(n), device))
    stock = median(found["stock"]) * tokens / counts["stock"]
    return stock, median(found["sparse"]), counts["stock"]


def memory(kind: str, experts: int, tokens: int, dtype: str, options: argparse.Namespace) -> float:
    """Peak bytes of a pass above the weights. In a process of its own."""
    small = argparse.Namespace(**vars(options) | {"hidden": 64, "intermediate": 64})
    Pass(kind, 2, dtype, small).run(8)  # what libraries allocate once
    block = Pass(kind, experts, dtype, options)
    unreal = kind == "stock" and slow_products(block.dtype, block.device)
    before = peak_bytes(block.device, reset=True)
    with NoProducts() if unreal else nullcontext():
        block.run(tokens)
    return peak_bytes(block.device) - before


def stock_bytes(experts: int, tokens: int, dtype: str, options: argparse.Namespace) -> float:
    """Roughly what stock will hold, so that nothing is started that cannot end well."""
    width = 3 * options.hidden + 6 * options.intermediate
    return 1.2 * experts * tokens * width * getattr(torch, dtype).itemsize


def row(dtype: str, experts: int, tokens: int, options: argparse.Namespace) -> list[str]:
    """One line of the table."""
    begin = [dtype, str(experts), str(tokens)]
    fits = stock_bytes(experts, tokens, dtype, options) < options.memory * 2**30
    device = torch.device(options.device)
    slow = slow_products(getattr(torch, dtype), device)
    if not fits and not slow:
        return [*begin, *["stock does not fit"], *["-"] * 5]
    stock, ours, timed = in_a_process(times, experts, tokens, dtype, options)
    star = "*" if timed < tokens else " "
    cells = [*begin, f"{stock:.3g} s{star}", f"{ours:.3g} s", f"{stock / ours:.1f}{star}"]
    held = in_a_process(memory, "sparse", experts, tokens, dtype, options)
    if not fits:
        return [*cells, "does not fit", f"{held / 2**20:.0f} MiB", "-"]
    theirs = in_a_process(memory, "stock", experts, tokens, dtype, options)
    return [*cells, f"{theirs / 2**20:.0f} MiB", f"{held / 2**20:.0f} MiB", f"{held / theirs:.3f}"]


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--experts", type=int, nargs="+", default=[16, 128])
    parser.add_argument("--tokens", type=int, nargs="+", default=[256, 1024, 4096])
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--intermediate", type=int, default=1024)
    parser.add_argument("--stock-tokens", type=int, default=16, help="timed where bf16 is slow")
    parser.add_argument("--memory", type=float, default=10, help="GiB that stock may take")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    print(f"hidden {options.hidden}, intermediate {options.intermediate}, forward and backward, "
          f"median of {options.rounds}, on {named(device)}")  # fmt: skip
    if any(slow_products(getattr(torch, dtype), device) for dtype in options.dtypes):
        print(
            "This CPU has no bfloat16 products of its own: torch multiplies element by element, "
            "in a way that\nours avoids. * stock bfloat16 was timed on "
            f"{options.stock_tokens} tokens and multiplied; its memory is that of the\n"
            "shapes, with products left out. Go by float32 for what sparsity alone is worth."
        )
    rows = [HEAD]
    for dtype in options.dtypes:
        for experts in options.experts:
            for tokens in options.tokens:
                rows.append(row(dtype, experts, tokens, options))
                print(f"  {'  '.join(rows[-1])}", flush=True)
    print(f"\n{table(rows)}")


if __name__ == "__main__":
    main()
