"""A whole training step of a small Llama 4 (forward, loss, backward, AdamW): ours against stock.

The model is the trainer's own (trainer/llama4/build.py), with moe.kind sparse in one case and stock
in the other; attention and loss are those of the trainer in both. Where bfloat16 products are slow
(see bench/moe_block.py) a stock step is taken on --stock-tokens and the part of it that grows with
the tokens multiplied; marked with *.

    python bench/train_step.py                                  4 layers, 16 and 128 experts
    python bench/train_step.py --device cuda --tokens 4096
"""

from __future__ import annotations

import argparse
from statistics import median

import torch
from measuring import in_a_process, named, peak_bytes, seconds, slow_products, table

from trainer.contract.config import build as checked
from trainer.llama4.attention import model_inputs
from trainer.llama4.build import build, text_config

HEAD = ["dtype", "experts", "tokens", "stock", "ours", "times faster", "stock GiB", "ours GiB"]


class Trained:
    """A model with its optimizer."""

    def __init__(self, kind: str, experts: int, dtype: str, options: argparse.Namespace) -> None:
        torch.set_num_threads(options.threads)
        self.device, self.vocabulary = torch.device(options.device), options.vocabulary
        self.document = options.document
        tiny = {
            "layers": options.layers,
            "experts": experts,
            "hidden": options.hidden,
            "intermediate": options.intermediate,
            "heads": options.hidden // 64,
            "vocabulary": options.vocabulary,
            "chunk": 8192,
        }
        config = checked(
            {
                "model": {"tiny": tiny, "dtype": dtype},
                "data": {"seq_len": options.tokens},
                "moe": {"kind": kind},
            }
        )
        text = text_config(config, options.vocabulary)
        self.model = build(config, text, self.device).to(self.device).train()
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-4, fused=True)

    def step(self, tokens: int) -> None:
        """One, on so many drawn tokens."""
        words = torch.randint(self.vocabulary, (1, tokens), device=self.device)
        positions = torch.arange(tokens)[None] % self.document
        inputs = model_inputs(self.model, positions, self.device)
        self.model(input_ids=words, labels=words, **inputs).loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()


def measure(
    kind: str, experts: int, dtype: str, options: argparse.Namespace
) -> tuple[float, float, bool]:
    """Median seconds of a step, peak GiB of the process or the GPU, and whether the time was taken
    on fewer tokens. In a process of its own."""
    trained = Trained(kind, experts, dtype, options)
    device, tokens = trained.device, options.tokens
    slow = kind == "stock" and slow_products(getattr(torch, dtype), device)
    if slow and tokens > options.stock_tokens:
        # What does not grow (the optimizer) is there in both; the difference is what grows.
        trained.step(2)
        base = seconds(lambda: trained.step(2), device)
        more = seconds(lambda: trained.step(2 + options.stock_tokens), device)
        return base + (more - base) * tokens / options.stock_tokens, 0.0, True
    trained.step(tokens)
    rounds = 1 if slow else options.rounds
    taken = median(seconds(lambda: trained.step(tokens), device) for _ in range(rounds))
    return taken, peak_bytes(device) / 2**30, False


def row(dtype: str, experts: int, options: argparse.Namespace) -> list[str]:
    """One line of the table; the two kinds take turns."""
    found: dict[str, list[tuple[float, float, bool]]] = {"stock": [], "sparse": []}
    for _ in range(options.turns):
        for kind, runs in found.items():
            runs.append(in_a_process(measure, kind, experts, dtype, options))
    stock, ours = (median(run[0] for run in runs) for runs in found.values())
    held = [max(run[1] for run in runs) for runs in found.values()]
    star = "*" if found["stock"][0][2] else " "
    return [
        *(dtype, str(experts), str(options.tokens), f"{stock:.3g} s{star}", f"{ours:.3g} s"),
        f"{stock / ours:.1f}{star}",
        *(f"{gib:.2f}" if gib else "-" for gib in held),
    ]


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--experts", type=int, nargs="+", default=[16, 128])
    parser.add_argument("--tokens", type=int, default=1024)
    parser.add_argument("--document", type=int, default=512, help="tokens of a packed document")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--intermediate", type=int, default=1024)
    parser.add_argument("--vocabulary", type=int, default=4096)
    parser.add_argument("--stock-tokens", type=int, default=8, help="timed where bf16 is slow")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--turns", type=int, default=1, help="processes of each kind")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    print(f"{options.layers} layers of hidden {options.hidden}, intermediate "
          f"{options.intermediate}, vocabulary {options.vocabulary}, on "
          f"{named(device)}")  # fmt: skip
    if any(slow_products(getattr(torch, dtype), device) for dtype in options.dtypes):
        print(
            "This CPU has no bfloat16 products of its own. * a stock bfloat16 step: the time of "
            f"{options.stock_tokens} tokens\nmultiplied. Go by float32 for what sparsity is worth."
        )
    rows = [HEAD]
    for dtype in options.dtypes:
        for experts in options.experts:
            rows.append(row(dtype, experts, options))
            print(f"  {'  '.join(rows[-1])}", flush=True)
    print(f"\n{table(rows)}")


if __name__ == "__main__":
    main()
