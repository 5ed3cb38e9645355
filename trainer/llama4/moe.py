"""The sparse mixture of experts: multiplies a token by the experts that it chose, and no others.

On the parameters of Transformers' Llama4TextMoe, under the same names. Shapes: T tokens, H hidden
and I intermediate width, E experts, K experts per token, N = T·K routed rows.
"""

from __future__ import annotations

import torch
from torch import nn
from transformers.models.llama4.modeling_llama4 import Llama4TextExperts, Llama4TextMoe

from trainer.llama4.dispatch import combine, dispatch
from trainer.llama4.grouped import grouped_mm
from trainer.llama4.linear import widen
from trainer.llama4.lora import GroupedLowRank
from trainer.llama4.pointwise import swiglu
from trainer.llama4.quant.grouped import quantized_grouped_mm
from trainer.llama4.quant.stack import QuantizedStack
from trainer.llama4.routing import Routing, SparseRouter


class SparseExperts(nn.Module):
    """The routed experts: gate_up_proj [E, H, 2I] and down_proj [E, I, H], with or without an
    adapter on each."""

    def __init__(self, stock: Llama4TextExperts) -> None:
        super().__init__()
        self.num_experts: int = stock.num_experts
        self.hidden_size: int = stock.hidden_size
        self.intermediate_size: int = stock.intermediate_size
        self.gate_up_proj = stock.gate_up_proj
        self.down_proj = stock.down_proj
        self.gate_up_adapter: GroupedLowRank | None = None
        self.down_adapter: GroupedLowRank | None = None

    def forward(self, x_NH: torch.Tensor, ends_E: torch.Tensor) -> torch.Tensor:
        """[N, H] of rows sorted by expert."""
        # Quantised weights need the ends on the host: wait for them once.
        known = ends_E.tolist() if isinstance(self.gate_up_proj, QuantizedStack) else None
        gate_up_NI2 = _product(x_NH, self.gate_up_proj, self.gate_up_adapter, ends_E, known)
        return _product(swiglu(gate_up_NI2), self.down_proj, self.down_adapter, ends_E, known)


class SparseMoe(nn.Module):
    """In the place of Llama4TextMoe, on its parameters."""

    def __init__(self, stock: Llama4TextMoe) -> None:
        super().__init__()
        self.hidden_size: int = stock.hidden_dim
        self.experts = SparseExperts(stock.experts)
        self.router = SparseRouter.take_over(stock.router)
        self.shared_expert = stock.shared_expert
        widen(self.shared_expert)

    def forward(self, hidden: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """[T, H] of hidden states [..., H], and the router's logits [T, E]."""
        x_TH = hidden.reshape(-1, self.hidden_size)
        routing: Routing = self.router(x_TH)
        y_NH = self.experts(dispatch(x_TH, routing), routing.ends_E)
        return self.shared_expert(x_TH) + combine(y_NH, routing), routing.logits_TE


def _product(
    x: torch.Tensor,
    weight: torch.Tensor | QuantizedStack,
    adapter: GroupedLowRank | None,
    ends_E: torch.Tensor,
    known: list[int] | None,
) -> torch.Tensor:
    if isinstance(weight, QuantizedStack):
        y = quantized_grouped_mm(x, weight, ends_E if known is None else known)
    else:
        y = grouped_mm(x, weight, ends_E)
    # Not in place: selective checkpointing keeps y as it is.
    return y if adapter is None else y + adapter(x, ends_E)


def make_sparse(model: nn.Module) -> None:
    """Put a SparseMoe in the place of every Llama4TextMoe below a model."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, Llama4TextMoe):
                setattr(parent, name, SparseMoe(child))
