"""LoRA on Llama 4's experts: what it costs beside its own products, and beside PEFT's.

Cases, a step each (forward, backward, AdamW of the adapters) of the same model, taking turns:

    attention     our sparse blocks, adapters on attention alone
    + experts     the same and an adapter on every routed expert
    peft          Transformers' own blocks with PEFT's target_parameters, adapters on attention and
                  on the experts
    peft, sparse  the same on our blocks, so that only the adapters differ
    products      the adapters' own products for these shapes, forward and backward, nothing else

The bar: (+ experts) is within 15 % of (attention) plus (products), in time and in memory (above the
weights, with adapters, their gradients and optimizer states counted as their own).

    python bench/lora_experts.py                         hidden 512, 16 experts, float32
    python bench/lora_experts.py --device cuda --dtype bfloat16 --hidden 2048 --intermediate 4096
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import Any

import torch
from measuring import in_a_process, medians, named, peak_bytes, table, text_config, wait
from peft import LoraConfig, get_peft_model
from transformers import Llama4ForCausalLM

from trainer.contract.config import Adapter
from trainer.llama4 import adapters, loss
from trainer.llama4.attention import convert_attention, model_inputs
from trainer.llama4.linear import widen
from trainer.llama4.lora import GroupedLowRank
from trainer.llama4.moe import SparseExperts, make_sparse

CASES = ("attention", "+ experts", "peft", "peft, sparse", "products")


def adapted(case: str, options: argparse.Namespace) -> torch.nn.Module:
    """The model of a case, its weights frozen."""
    device, dtype = torch.device(options.device), getattr(torch, options.dtype)
    text = text_config(
        options.experts, options.hidden, options.intermediate, num_hidden_layers=options.layers
    )
    text._attn_implementation = "sdpa"
    torch.manual_seed(0)
    with torch.device(device):
        model = Llama4ForCausalLM(text)
    for name, parameter in model.named_parameters():
        parameter.data = parameter.data.to(dtype)
        if "router" in name:  # so that tokens spread over the experts
            torch.nn.init.normal_(parameter, std=1 / math.sqrt(options.hidden))
    loss.install(model)
    if case != "peft":
        convert_attention(model, "sdpa")
        make_sparse(model)
        widen(model.model)
    if case.startswith("peft"):
        projections = ["q_proj", "k_proj", "v_proj", "o_proj"]
        parameters = ["experts.gate_up_proj", "experts.down_proj"]
        settings = LoraConfig(
            r=options.rank,
            lora_alpha=2 * options.rank,
            target_modules=projections,
            target_parameters=[f"feed_forward.{name}" for name in parameters],
        )
        found: torch.nn.Module = get_peft_model(model, settings)
        return found.train()
    targets = ["attention", "experts"] if case == "+ experts" else ["attention"]
    adapters.add(
        model,
        Adapter(kind="lora", rank=options.rank, alpha=2 * options.rank, targets=targets),  # type: ignore[arg-type]
        dtype,
        0,
    )
    return model.train()


def stepper(model: torch.nn.Module, options: argparse.Namespace) -> Callable[[], None]:
    """One training step of a model's adapters."""
    device = torch.device(options.device)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4, fused=True)
    words = torch.randint(4096, (1, options.tokens), device=device)
    # PEFT's is the stock model: positions alone.
    inputs = model_inputs(model, torch.arange(options.tokens)[None], device)

    def step() -> None:
        model(input_ids=words, labels=words, **inputs).loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def products(options: argparse.Namespace) -> Callable[[], None]:
    """The work that adapters on experts are: their four products in each layer, with gradients of
    input, A and B, their updates, and nothing else."""
    device, dtype = torch.device(options.device), getattr(torch, options.dtype)
    shapes = [
        (options.hidden, 2 * options.intermediate),
        (options.intermediate, options.hidden),
    ] * options.layers
    pieces: list[tuple[GroupedLowRank, torch.Tensor, torch.Tensor]] = []
    for inputs, outputs in shapes:
        low = GroupedLowRank(options.experts, inputs, outputs, options.rank, 2.0, 0.0)
        x = torch.randn(options.tokens, inputs, device=device).to(dtype).requires_grad_()
        dy = torch.randn(options.tokens, outputs, device=device).to(dtype)
        pieces.append((low.to(device, dtype), x, dy))
    trained = [parameter for low, _, _ in pieces for parameter in low.parameters()]
    optimizer = torch.optim.AdamW(trained, lr=1e-4, fused=True)
    each = options.tokens / options.experts
    ends = torch.tensor([round(each * (e + 1)) for e in range(options.experts)], dtype=torch.int32)
    ends_E = ends.to(device)

    def run() -> None:
        for low, x, dy in pieces:
            x.grad = None
            low(x, ends_E).backward(dy)
        optimizer.step()
        optimizer.zero_grad()

    return run


def times(options: argparse.Namespace) -> dict[str, float]:
    """Median seconds of each case."""
    torch.set_num_threads(options.threads)
    runs: dict[str, Callable[[], object]] = {}
    for case in CASES:
        runs[case] = (
            products(options) if case == "products" else stepper(adapted(case, options), options)
        )
    return medians(runs, options.rounds, torch.device(options.device))


def memory(case: str, options: argparse.Namespace) -> tuple[float, float]:
    """Peak bytes of a step above the weights, and bytes of the adapters on experts with gradients
    and optimizer states. In a process of its own."""
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    small = vars(options) | {"hidden": 128, "intermediate": 64, "tokens": 16, "layers": 1}
    stepper(adapted(case, argparse.Namespace(**small)), argparse.Namespace(**small))()
    model = adapted(case, options)
    step = stepper(model, options)
    wait(device)
    before = peak_bytes(device, reset=True)
    step()
    own = 0
    for module in model.modules():
        if isinstance(module, SparseExperts):
            for part in (module.gate_up_adapter, module.down_adapter):
                own += sum(p.nbytes * 3 for p in part.parameters()) if part else 0
    return peak_bytes(device) - before, own


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--experts", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=2048)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--intermediate", type=int, default=1024)
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"{options.layers} layers of hidden {options.hidden}, intermediate "
          f"{options.intermediate}, {options.experts} experts, rank {options.rank}, "
          f"{options.tokens} tokens, {options.dtype}, on "
          f"{named(torch.device(options.device))}")  # fmt: skip
    spent: dict[str, float] = in_a_process(times, options)
    held: dict[str, Any] = {
        case: in_a_process(memory, case, options) for case in CASES if case != "products"
    }
    rows = [["case", "step", "peak above weights"]]
    for case in CASES:
        peak = f"{held[case][0] / 2**20:.0f} MiB" if case in held else ""
        rows.append([case, f"{1e3 * spent[case]:.1f} ms", peak])
    print(table(rows))
    allowed = spent["attention"] + spent["products"]
    (with_experts, own), (without, _) = held["+ experts"], held["attention"]
    print(f"\ntime: + experts / (attention + products) = {spent['+ experts'] / allowed:.3f} (bar "
          f"1.15)\nmemory: + experts / (attention + adapters, gradients and moments of "
          f"{own / 2**20:.0f} MiB) = {with_experts / (without + own):.3f} (bar 1.15)\n"
          f"PEFT / ours: {spent['peft'] / spent['+ experts']:.1f} times the time (bar 3), "
          f"{held['peft'][0] / with_experts:.1f} times the memory; on our blocks "
          f"{spent['peft, sparse'] / spent['+ experts']:.1f} and "
          f"{held['peft, sparse'][0] / with_experts:.1f}")  # fmt: skip


if __name__ == "__main__":
    main()
