"""The frozen weights of a model, swapped in place for quantised ones."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn
from transformers.models.llama4.modeling_llama4 import Llama4TextExperts

from trainer.llama4.quant.experts import QuantizedExperts
from trainer.llama4.quant.linear import QuantizedLinear
from trainer.llama4.quant.stack import QuantizedStack


def quantize_model_(model: nn.Module, kind: str) -> None:
    """Quantise, where they lie, the routed experts and the linear layers (attention, shared
    expert, dense MLP) of every decoder layer; embedding, head, routers and norms stay as they
    are. Each dense weight is freed before the next is quantised. Raises ConfigError where kind's
    library is missing, ValueError naming a weight that is not finite."""
    for name in [name for name, _ in _places(model)]:
        dense = model.get_submodule(name)
        device = next(dense.parameters()).device
        try:
            _set(model, name, _quantized(dense, kind, device, fill=True))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None


def swap_empty_(model: nn.Module, kind: str, device: torch.device) -> None:
    """As quantize_model_, but with zeros, on device: for a model without weights (meta)."""
    for name, dense in list(_places(model)):
        _set(model, name, _quantized(dense, kind, device, fill=False))


def stacks(model: nn.Module) -> dict[str, QuantizedStack]:
    """Every quantised stack by the stock name of the weight that it holds."""
    found = {}
    for name, module in model.named_modules():
        if isinstance(module, QuantizedLinear):
            found[f"{name}.weight"] = module.quantized
        elif isinstance(module, QuantizedExperts):
            found[f"{name}.gate_up_proj"] = module.gate_up_proj
            found[f"{name}.down_proj"] = module.down_proj
    return found


def quantized_values(model: nn.Module) -> int:
    """How many weights are quantised, in whatever module; they are no parameters of the model."""
    return sum(stack.values for stack in model.modules() if isinstance(stack, QuantizedStack))


def _places(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    for name, module in model.named_modules():
        # Exactly nn.Linear: the router is one too, and chooses by small differences.
        linear = type(module) is nn.Linear and "layers" in name.split(".")
        if linear or isinstance(module, Llama4TextExperts):
            yield name, module


def _quantized(dense: nn.Module, kind: str, device: torch.device, fill: bool) -> nn.Module:
    if isinstance(dense, Llama4TextExperts):
        experts = QuantizedExperts.like(dense, kind, device)
        if fill:
            experts.put(dense)
        return experts
    assert isinstance(dense, nn.Linear)
    linear = QuantizedLinear.like(dense, kind, device)
    if fill:
        linear.put(dense)
    return linear


def _set(model: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, attribute = name.rpartition(".")
    setattr(model.get_submodule(parent), attribute, module)
