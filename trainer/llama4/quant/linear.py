"""A frozen linear layer whose weight is held in few bits."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.autograd.function import once_differentiable

from trainer.llama4.grouped import product_dtype
from trainer.llama4.quant.stack import QuantizedStack


class QuantizedLinear(nn.Module):
    """y = x Wᵀ + b with a frozen W [out, in]; in the place of an `nn.Linear`.

    W is de-quantised for each product and freed again; the backward pass keeps nothing but the
    quantised weight, and gives the gradient of x alone.
    """

    bias: torch.Tensor | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kind: str,
        bias: bool = False,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.quantized = QuantizedStack(1, out_features, in_features, kind, device)
        empty = torch.zeros(out_features, device=device) if bias else None
        self.register_parameter(
            "bias", None if empty is None else nn.Parameter(empty, requires_grad=False)
        )

    @classmethod
    def like(
        cls, dense: nn.Linear, kind: str, device: torch.device | str | None
    ) -> QuantizedLinear:
        """Of the same shape, all zeros."""
        return cls(dense.in_features, dense.out_features, kind, dense.bias is not None, device)

    @classmethod
    def of(cls, dense: nn.Linear, kind: str) -> QuantizedLinear:
        """The quantised form of a layer, on its device. Raises ValueError as `put`."""
        made = cls.like(dense, kind, dense.weight.device)
        made.put(dense)
        return made

    @torch.no_grad()
    def put(self, dense: nn.Linear) -> None:
        """Quantise another's weight and take a copy of its bias. Raises ValueError where the
        weight is not finite."""
        self.quantized.put(0, dense.weight)
        if self.bias is not None:
            self.bias = nn.Parameter(dense.bias.to(self.bias.device, copy=True), False)

    def dequantize(self, dtype: torch.dtype) -> torch.Tensor:
        """W [out, in], newly made."""
        return self.quantized.dequantize(0, 1, dtype)[0]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x [..., in] to [..., out], in x's dtype."""
        y: torch.Tensor = _Linear.apply(x, self.quantized)
        return y if self.bias is None else y + self.bias.to(y.dtype)

    def extra_repr(self) -> str:
        """As nn.Linear."""
        return f"in_features={self.in_features}, out_features={self.out_features}"


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, stack: QuantizedStack) -> torch.Tensor:
        ctx.stack = stack
        dtype = product_dtype(x)
        weight = stack.dequantize(0, 1, dtype)[0]
        return nn.functional.linear(x.to(dtype), weight).to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None]:
        dtype = product_dtype(grad)
        weight = ctx.stack.dequantize(0, 1, dtype)[0]
        return (grad.to(dtype) @ weight).to(grad.dtype), None
