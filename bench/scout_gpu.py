"""Scout on one CUDA GPU: its layers against stock and against the GPU; all 48 in 4 or 8 bits.

layers: as many of Scout's decoder layers as fit, in bfloat16 with LoRA on attention and experts,
random weights, sequences of 8192: tokens/s of ours and of stock Transformers (whose adapters are on
attention alone: it can have no others), the matrix FLOPs that were executed (counted by torch, so
recomputation counts), and their share of what a large bfloat16 product reaches in the same run.
Bars: 50 % of the product, 6 times stock.

scout: all 48 layers quantised as `adapter.kind: qlora` holds them, drawn matrix by matrix on the
GPU, with LoRA, selective activation checkpointing and the chunked vocabulary loss. Bar: 3,000
tokens/s.

    python bench/scout_gpu.py                              both; nf4 (64 GB of weights)
    python bench/scout_gpu.py scout --quant int8           113 GB of weights: an H200
    python bench/scout_gpu.py scout --checkpointing full   on 80 GB: selective keeps 25 GB
    python bench/scout_gpu.py --tiny                       tiny shapes, on the CPU too: a trial
"""

from __future__ import annotations

import argparse
import gc
from statistics import median

import torch
from measuring import named, peak_bytes, seconds, wait
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from transformers import Llama4ForCausalLM, Llama4TextConfig
from transformers.models.llama4.modeling_llama4 import Llama4TextRotaryEmbedding

from trainer.contract.config import Adapter
from trainer.llama4 import adapters, loss
from trainer.llama4.attention import convert_attention, model_inputs
from trainer.llama4.executions import choose
from trainer.llama4.flops import flops_per_token
from trainer.llama4.moe import make_sparse
from trainer.llama4.quant import random_quantized
from trainer.llama4.recompute import recompute


def scout(layers: int, tiny: bool, seq_len: int) -> Llama4TextConfig:
    """The text part of Llama 4 Scout (the defaults of Transformers' configuration), or a small
    model built alike."""
    settings: dict[str, object] = {
        "num_hidden_layers": layers,
        "num_local_experts": 16,
        "interleave_moe_layer_step": 1,
        "use_cache": False,
        "pad_token_id": None,
        "max_position_embeddings": max(seq_len, 8192),
    }
    if tiny:
        settings |= {
            "vocab_size": 512,
            "hidden_size": 64,
            "intermediate_size": 64,
            "intermediate_size_mlp": 128,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 16,
            "attention_chunk_size": 64,
            "bos_token_id": 0,
            "eos_token_id": 1,
        }
    return Llama4TextConfig(**settings)


def empty_model(text: Llama4TextConfig, device: torch.device) -> nn.Module:
    """The stock model in bfloat16 with random frozen weights, made on the device one tensor at a
    time: neither the host nor float32 ever holds it."""
    with torch.device("meta"):
        model = Llama4ForCausalLM(text)
    generator = torch.Generator(device).manual_seed(0)
    for name, module in model.named_modules():
        for key, parameter in list(module.named_parameters(recurse=False)):
            made = torch.empty(parameter.shape, dtype=torch.bfloat16, device=device)
            if parameter.dim() == 1:  # norms
                made.fill_(1.0)
            else:
                std = text.hidden_size**-0.5 if name.endswith("router") else 0.02
                for part in made if made.dim() == 3 else [made]:
                    part.normal_(0.0, std, generator=generator)
            setattr(module, key, nn.Parameter(made, requires_grad=False))
        for key, child in list(module.named_children()):
            if isinstance(child, Llama4TextRotaryEmbedding):  # its buffers are computed
                setattr(module, key, type(child)(config=child.config).to(device))
    assert not any(tensor.is_meta for tensor in (*model.parameters(), *model.buffers()))
    return model


class Training:
    """A model, its adapters and their optimizer."""

    def __init__(
        self, model: nn.Module, text: Llama4TextConfig, kind: str, options: argparse.Namespace
    ) -> None:
        self.device, self.options, self.text = torch.device(options.device), options, text
        if kind == "sparse":
            execution = choose("auto", self.device, torch.bfloat16, text.head_dim, 0.0)
            convert_attention(model, execution)
            make_sparse(model)
        loss.install(model)  # type: ignore[arg-type]
        if options.checkpointing != "none":
            recompute(model, "full" if kind == "stock" else options.checkpointing)  # type: ignore[arg-type]
        targets = ["attention", "experts"] if kind == "sparse" else ["attention"]
        self.adapter = Adapter(kind="lora", rank=options.rank, targets=targets)  # type: ignore[arg-type]
        adapters.add(model, self.adapter, torch.bfloat16, 0)
        self.model = model.train()
        self.trained = [p for p in model.parameters() if p.requires_grad]
        fused = self.device.type == "cuda"
        self.optimizer = torch.optim.AdamW(self.trained, lr=1e-4, fused=fused)
        self.losses: list[float] = []

    def step(self) -> None:
        """One optimizer step on drawn tokens, as many documents as sequences."""
        shape = (self.options.batch, self.options.seq_len)
        words = torch.randint(self.text.vocab_size, shape, device=self.device)
        positions = torch.arange(shape[1]).expand(shape)
        inputs = model_inputs(self.model, positions, self.device)
        total = self.model(input_ids=words, labels=words, **inputs).loss
        total.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.losses.append(float(total.detach()))

    def flops(self) -> int:
        """Of one step's matrix products, as executed. Attention by a kernel that torch does not
        know (flash-attn's) is not in it; see `FlopCounterMode`."""
        with FlopCounterMode(display=False) as counter:
            self.step()
        return int(counter.get_total_flops())

    def tokens_per_second(self) -> float:
        """The median of some steps, after two that compile and allocate."""
        for _ in range(2):
            self.step()
        taken = [seconds(self.step, self.device) for _ in range(self.options.rounds)]
        return self.options.batch * self.options.seq_len / median(taken)


def product_flops(options: argparse.Namespace) -> float:
    """FLOP/s of a large bfloat16 product of random numbers."""
    device, size = torch.device(options.device), 128 if options.tiny else 8192
    left, right = (torch.randn(size, size, device=device).bfloat16() for _ in range(2))
    for _ in range(3):
        left @ right
    times = [seconds(lambda: left @ right, device) for _ in range(20)]
    return 2 * size**3 / median(times)


def free(options: argparse.Namespace) -> None:
    """Give back what is no longer held."""
    gc.collect()
    if options.device == "cuda":
        torch.cuda.empty_cache()


def layers_that_fit(options: argparse.Namespace) -> int:
    """By the memory that is free: a layer's bfloat16 weights and what a step keeps of it, beside
    embedding and head, stock's or our temporaries, and a rest."""
    if options.layers:
        return int(options.layers)
    if options.tiny or options.device != "cuda":
        return 2
    free_bytes, _ = torch.cuda.mem_get_info()
    weights = 2 * (16 * 3 * 5120 * 8192 + 3 * 5120 * 8192 + 2 * 5120 * (5120 + 1024))
    kept = 2 * options.batch * options.seq_len * (5120 + 16384 + 5120 + 5120)
    # Stock, once per layer and one layer at a time: every token by every expert.
    stock = 2 * 16 * options.batch * options.seq_len * (4 * 5120 + 9 * 8192)
    beside = 2 * 2 * 202_048 * 5120 + max(stock, weights // 2) + 6 * 2**30
    return int(max(1, (free_bytes - beside) // (weights + kept)))


def measure_layers(options: argparse.Namespace) -> None:
    """The first part."""
    peak = product_flops(options)
    print(f"a large bfloat16 product: {peak / 1e12:.4g} TFLOP/s", flush=True)
    count = layers_that_fit(options)
    speeds = {kind: layers_of(kind, count, peak, options) for kind in ("sparse", "stock")}
    if all(speeds.values()):
        print(f"ours: {speeds['sparse'] / speeds['stock']:.2f} times stock's tokens/s (bar 6)")


def layers_of(kind: str, count: int, peak: float, options: argparse.Namespace) -> float:
    """Measure and print one kind's layers; tokens/s, or 0 where they do not fit."""
    text = scout(count, options.tiny, options.seq_len)
    text._attn_implementation = "sdpa"
    device = torch.device(options.device)
    free(options)
    peak_bytes(device, reset=True)
    try:
        training = Training(empty_model(text, device), text, kind, options)
        speed = training.tokens_per_second()
        flops = training.flops() / (options.batch * options.seq_len)
    except torch.OutOfMemoryError as error:
        print(f"{kind}: {count} layers do not fit: {str(error).splitlines()[0]}", flush=True)
        return 0.0
    executed = flops * speed
    print(
        f"{kind:6} {count} layers: {speed:9.1f} tokens/s, {flops / 1e9:8.3f} GFLOP a token "
        f"executed,\n       {executed / 1e12:.4g} TFLOP/s = {executed / peak:.1%} of the product, "
        f"peak {peak_bytes(device) / 2**30:.2f} GiB, "
        f"loss {training.losses[0]:.3f} to {training.losses[-1]:.3f}",
        flush=True,
    )
    needed = flops_per_token(text, training.adapter, options.seq_len)
    print(f"       {needed / 1e9:.3f} GFLOP a token needed (trainer/llama4/flops.py)", flush=True)
    return speed


def measure_scout(options: argparse.Namespace) -> None:
    """The second part."""
    free(options)
    device = torch.device(options.device)
    peak_bytes(device, reset=True)
    text = scout(4 if options.tiny else options.scout_layers, options.tiny, options.seq_len)
    built: list[nn.Module] = []

    def make() -> None:
        built.append(random_quantized(text, options.quant, torch.bfloat16, device, "sdpa", 0))

    drawn = seconds(make, device)
    training = Training(built.pop(), text, "sparse", options)
    wait(device)
    held = torch.cuda.memory_allocated() / 2**30 if device.type == "cuda" else float("nan")
    speed = training.tokens_per_second()
    print(
        f"Scout, {text.num_hidden_layers} layers in {options.quant}, LoRA rank {options.rank} on "
        f"attention and experts, {options.batch} × {options.seq_len} tokens, checkpointing "
        f"{options.checkpointing}:\n  {speed:.1f} tokens/s (bar 3000), weights {held:.1f} GiB, "
        f"peak {peak_bytes(device) / 2**30:.1f} GiB, drawn in {drawn:.0f} s, loss "
        f"{training.losses[0]:.3f} to {training.losses[-1]:.3f}"
    )


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("part", nargs="?", choices=["layers", "scout", "both"], default="both")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--layers", type=int, help="of the first part; default: what fits")
    parser.add_argument("--scout-layers", type=int, default=48)
    parser.add_argument("--quant", default="nf4", choices=["nf4", "int8", "fp8"])
    parser.add_argument("--seq-len", type=int, help="default: 8192, with --tiny 128")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument(
        "--checkpointing", default="selective", choices=["none", "full", "selective"]
    )
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    options.seq_len = options.seq_len or (128 if options.tiny else 8192)
    if options.device != "cuda" and not options.tiny:
        parser.error("needs a CUDA GPU; --tiny tries it on the CPU")
    print(f"on {named(torch.device(options.device))}, torch {torch.__version__}")
    if options.part in {"layers", "both"}:
        measure_layers(options)
    if options.part in {"scout", "both"}:
        measure_scout(options)


if __name__ == "__main__":
    main()
