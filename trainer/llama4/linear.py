"""Linear layers in float32 where the processor has no bfloat16 products of its own.

torch multiplies bfloat16 there element by element, most slowly in the gradient of the input:
hundreds of times slower than float32. Elsewhere, and in any other dtype, these are torch's own.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.autograd.function import once_differentiable

from trainer.llama4.grouped import product_dtype


def linear(x: torch.Tensor, weight: torch.Tensor, stock_forward: bool = False) -> torch.Tensor:
    """x [..., I] times weight [O, I] transposed, rounded once to x's dtype. stock_forward takes
    torch's own product in the forward pass, bit for bit, and only the gradients so."""
    if product_dtype(x) == x.dtype:
        return nn.functional.linear(x, weight)
    y: torch.Tensor = _WideLinear.apply(x, weight, stock_forward)
    return y


class WideLinear(nn.Linear):
    """`nn.Linear` by the function above."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[..., I] to [..., O]."""
        y = linear(x, self.weight)
        return y if self.bias is None else y + self.bias


def widen(model: nn.Module) -> None:
    """Have every plain `nn.Linear` below a model, in place, be a `WideLinear`."""
    for module in model.modules():
        if type(module) is nn.Linear:
            module.__class__ = WideLinear


class _WideLinear(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, weight: torch.Tensor, stock_forward: bool
    ) -> torch.Tensor:
        x_wants, weight_wants = ctx.needs_input_grad[:2]
        ctx.save_for_backward(x if weight_wants else None, weight if x_wants else None)
        if stock_forward:
            return nn.functional.linear(x, weight)
        return nn.functional.linear(x.float(), weight.float()).to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, dy: torch.Tensor
    ) -> tuple[torch.Tensor | None, torch.Tensor | None, None]:
        x, weight = ctx.saved_tensors
        dtype, dy = dy.dtype, dy.float()
        dx = None if weight is None else (dy @ weight.float()).to(dtype)
        if x is None:
            return dx, None, None
        return dx, (dy.flatten(0, -2).t() @ x.flatten(0, -2).float()).to(dtype), None
