"""The product of tokens, sorted by expert, with a stack of quantised matrices.

Shapes: N rows (tokens, one expert after the other), E experts, K inputs, M outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch

from trainer.llama4.quant.stack import QuantizedStack


def quantized_grouped_mm(
    x_NK: torch.Tensor, stack: QuantizedStack, ends_E: torch.Tensor | Sequence[int]
) -> torch.Tensor:
    """y [N, M]: rows ends[e-1] to before ends[e] of x times matrix e; rows after the last end
    are zero. Differentiable in x alone.

    A group of matrices is de-quantised, multiplied and freed before the next, and again in the
    backward pass, which keeps neither x nor a weight. Matrices without rows are passed over.
    The ends are needed on the host: where they are a tensor on a GPU this waits for them once;
    pass a list where the host has them already.
    """
    ends = ends_E.tolist() if isinstance(ends_E, torch.Tensor) else list(ends_E)
    y_NM: torch.Tensor = _GroupedMM.apply(x_NK, stack, ends)
    return y_NM


class _GroupedMM(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x_NK: torch.Tensor, stack: QuantizedStack, ends: list[int]
    ) -> torch.Tensor:
        ctx.stack, ctx.ends = stack, ends
        return _product(x_NK, stack, ends, transposed=False)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad_NM: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        return _product(grad_NM, ctx.stack, ctx.ends, transposed=True), None, None


def _product(
    x: torch.Tensor, stack: QuantizedStack, ends: list[int], transposed: bool
) -> torch.Tensor:
    """x times each expert's matrix, or its transpose."""
    rows = list(pairwise([0, *ends]))
    y = x.new_empty(len(x), stack.shape[1] if transposed else stack.shape[2])
    y[ends[-1] :] = 0
    for first, last in stack.groups(x.dtype):
        used = [expert for expert in range(first, last) if rows[expert][0] < rows[expert][1]]
        if not used:
            continue
        # Ends of the group without rows need no weights either.
        weights = stack.dequantize(used[0], used[-1] + 1, x.dtype)
        for expert in used:
            start, end = rows[expert]
            weight = weights[expert - used[0]]
            torch.mm(x[start:end], weight.t() if transposed else weight, out=y[start:end])
    return y
