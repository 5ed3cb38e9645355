"""Adapters put in their places: attention projections, shared experts (and dense blocks), each
routed expert, the router."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from trainer.contract.config import Adapter
from trainer.llama4.lora import GroupedLowRank, LoraLinear, LowRank
from trainer.llama4.moe import SparseExperts
from trainer.llama4.routing import SparseRouter

LINEAR = {
    "attention": re.compile(r"self_attn\.[qkvo]_proj$"),
    "shared": re.compile(r"feed_forward\.(shared_expert\.)?(gate|up|down)_proj$"),
}


@dataclass(frozen=True)
class Placed:
    """An adapter, the module whose weight it changes, and which weight that is: names as in
    Transformers' model."""

    adapter: LowRank | GroupedLowRank
    module: str
    weight: str


def add(model: nn.Module, settings: Adapter, dtype: torch.dtype, seed: int) -> None:
    """Freeze the model's weights and put adapters in their places, in dtype, drawn from the seed;
    the optimizer keeps them in float32. Raises ValueError where a target has no place."""
    model.requires_grad_(False)
    torch.manual_seed(seed + 1)
    scale, rank, dropout = settings.alpha / settings.rank, settings.rank, settings.dropout
    found = set()
    for name, module in list(model.named_modules()):
        if "experts" in settings.targets and isinstance(module, SparseExperts):
            found.add("experts")
            count, hidden, inner = module.num_experts, module.hidden_size, module.intermediate_size
            sizes = {"gate_up": (hidden, 2 * inner), "down": (inner, hidden)}
            for part, (inputs, outputs) in sizes.items():
                grouped = GroupedLowRank(count, inputs, outputs, rank, scale, dropout)
                setattr(module, f"{part}_adapter", grouped.to(_device(module), dtype))
        if "router" in settings.targets and isinstance(module, SparseRouter):
            found.add("router")
            low = LowRank(module.in_features, module.out_features, rank, scale, dropout)
            module.adapter = low.to(module.weight.device, dtype)
        for target, pattern in LINEAR.items():
            if target in settings.targets and pattern.search(name):
                found.add(target)
                low = LowRank(module.in_features, module.out_features, rank, scale, dropout)
                adapted = LoraLinear(module, low.to(_device(module), dtype))
                model.set_submodule(name, adapted)
    if missing := set(settings.targets) - found:
        raise ValueError(f"the model has no {', '.join(sorted(missing))} to adapt")


def placed(model: nn.Module) -> Iterator[Placed]:
    """Every adapter of a model, in order."""
    for name, module in model.named_modules():
        if isinstance(module, SparseExperts):
            parts = {"gate_up_proj": module.gate_up_adapter, "down_proj": module.down_adapter}
            for weight, adapter in parts.items():
                if adapter is not None:
                    yield Placed(adapter, name, weight)
        elif isinstance(module, SparseRouter | LoraLinear) and module.adapter is not None:
            yield Placed(module.adapter, name, "weight")


def _device(module: nn.Module) -> torch.device:
    held = next(iter([*module.parameters(), *module.buffers()]))
    return held.device
