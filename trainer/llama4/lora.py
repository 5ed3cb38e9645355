"""Low-rank adapters (arXiv 2106.09685): scale · dropout(x) A B beside a frozen product, for one
matrix and for a matrix per expert. The change of the weight, A B in full, is never built.

Shapes: I input and O output width, R rank, E experts, N rows sorted by expert.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional

from trainer.llama4.grouped import grouped_mm
from trainer.llama4.linear import linear


class LowRank(nn.Module):
    """[..., I] to [..., O]. A [R, I] is drawn as PEFT draws it, B [O, R] starts at zero, so an
    adapter starts without effect."""

    def __init__(self, inputs: int, outputs: int, rank: int, scale: float, dropout: float) -> None:
        super().__init__()
        self.rank, self.scale, self.dropout = rank, scale, dropout
        self.lora_A = nn.Parameter(torch.empty(rank, inputs))
        self.lora_B = nn.Parameter(torch.zeros(outputs, rank))
        _draw(self.lora_A, inputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """What is added to the frozen product."""
        x = functional.dropout(x, self.dropout, self.training)
        # The scale goes where the tensor is smallest.
        inner = linear(x, self.lora_A) * self.scale
        return linear(inner, self.lora_B)


class GroupedLowRank(nn.Module):
    """[N, I] to [N, O], each expert's rows by its own A [E, I, R] and B [E, R, O]."""

    def __init__(
        self, experts: int, inputs: int, outputs: int, rank: int, scale: float, dropout: float
    ) -> None:
        super().__init__()
        self.rank, self.scale, self.dropout = rank, scale, dropout
        self.lora_A = nn.Parameter(torch.empty(experts, inputs, rank))
        self.lora_B = nn.Parameter(torch.zeros(experts, rank, outputs))
        _draw(self.lora_A, inputs)

    def forward(self, x_NI: torch.Tensor, ends_E: torch.Tensor) -> torch.Tensor:
        """What is added to the frozen grouped product; ends_E as for `grouped_mm`."""
        x_NI = functional.dropout(x_NI, self.dropout, self.training)
        inner_NR = grouped_mm(x_NI, self.lora_A, ends_E) * self.scale
        return grouped_mm(inner_NR, self.lora_B, ends_E)


class LoraLinear(nn.Module):
    """A frozen linear module with an adapter."""

    def __init__(self, base: nn.Module, adapter: LowRank) -> None:
        super().__init__()
        self.base_layer = base
        self.adapter = adapter

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[..., I] to [..., O]."""
        frozen: torch.Tensor = self.base_layer(x)
        added: torch.Tensor = self.adapter(x)
        return frozen + added


def _draw(a: nn.Parameter, inputs: int) -> None:
    """Uniform within ±1/√inputs: PEFT's kaiming_uniform with a = √5."""
    nn.init.uniform_(a, -1 / math.sqrt(inputs), 1 / math.sqrt(inputs))
