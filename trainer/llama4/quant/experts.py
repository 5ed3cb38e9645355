"""The routed experts of a layer, frozen in few bits."""

from __future__ import annotations

import torch
from torch import nn
from transformers.models.llama4.modeling_llama4 import Llama4TextExperts

from trainer.llama4.quant.grouped import quantized_grouped_mm
from trainer.llama4.quant.stack import QuantizedStack


class QuantizedExperts(nn.Module):
    """In the place of Transformers' `Llama4TextExperts`, with its names: gate_up_proj
    [E, hidden, 2 × intermediate] and down_proj [E, intermediate, hidden] as quantised stacks."""

    gate_up_proj: QuantizedStack
    down_proj: QuantizedStack

    def __init__(
        self,
        experts: int,
        hidden: int,
        intermediate: int,
        activation: nn.Module,
        kind: str,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        self.num_experts, self.hidden_size = experts, hidden
        self.intermediate_size = self.expert_dim = intermediate
        self.act_fn = activation
        self.gate_up_proj = QuantizedStack(experts, hidden, 2 * intermediate, kind, device)
        self.down_proj = QuantizedStack(experts, intermediate, hidden, kind, device)

    @classmethod
    def like(
        cls, dense: Llama4TextExperts, kind: str, device: torch.device | str | None
    ) -> QuantizedExperts:
        """Of the same shape, all zeros."""
        sizes = (dense.num_experts, dense.hidden_size, dense.intermediate_size)
        return cls(*sizes, dense.act_fn, kind, device)

    def put(self, dense: Llama4TextExperts) -> None:
        """Quantise another's weights. Raises ValueError where one is not finite."""
        for name in ("gate_up_proj", "down_proj"):
            for index, weight in enumerate(getattr(dense, name)):
                getattr(self, name).put(index, weight)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """As stock: rows [E × T, hidden], T for each expert in order, to the same shape."""
        rows = hidden_states.view(-1, self.hidden_size)
        each = len(rows) // self.num_experts
        ends = [each * (expert + 1) for expert in range(self.num_experts)]
        gate, up = quantized_grouped_mm(rows, self.gate_up_proj, ends).chunk(2, dim=-1)
        return quantized_grouped_mm(up * self.act_fn(gate), self.down_proj, ends)
