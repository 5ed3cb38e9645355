"""The product of tokens, sorted by expert, with a stack of quantised matrices.

Shapes: N rows (tokens, one expert after the other), E experts, K inputs, M outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch.autograd.function import once_differentiable
from torch.utils.flop_counter import register_flop_formula

from trainer.llama4.grouped import product_dtype
from trainer.llama4.quant.formats import format_of
from trainer.llama4.quant.stack import QuantizedStack, dequantize, groups


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
    y_NM: torch.Tensor = _GroupedProduct.apply(x_NK, stack, ends)
    return y_NM


class _GroupedProduct(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x_NK: torch.Tensor, stack: QuantizedStack, ends: list[int]
    ) -> torch.Tensor:
        ctx.stack, ctx.ends = stack, ends
        return _multiply(x_NK, stack, ends, transposed=False)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy_NM: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        return _multiply(dy_NM, ctx.stack, ctx.ends, transposed=True), None, None


def _multiply(
    x: torch.Tensor, stack: QuantizedStack, ends: list[int], transposed: bool
) -> torch.Tensor:
    shape = list(stack.shape[1:])
    y: torch.Tensor = torch.ops.l4cockpit.quantized_grouped_mm(
        x, stack.codes, stack.scales, ends, stack.format.name, shape, transposed
    )
    return y


# An operator of its own, so that selective activation checkpointing knows it by name.


@torch.library.custom_op("l4cockpit::quantized_grouped_mm", mutates_args=())
def _product(
    x: torch.Tensor,
    codes_EC: torch.Tensor,
    scales_ES: torch.Tensor,
    ends: Sequence[int],
    kind: str,
    shape_KM: Sequence[int],
    transposed: bool,
) -> torch.Tensor:
    """x times each expert's matrix [K, M], or its transpose."""
    rows, dtype = list(pairwise([0, *ends])), product_dtype(x)
    y = x.new_empty(len(x), shape_KM[not transposed])
    y[ends[-1] :] = 0
    x = x.to(dtype)
    for first, last in groups(len(codes_EC), shape_KM[0] * shape_KM[1], dtype):
        used = [expert for expert in range(first, last) if rows[expert][0] < rows[expert][1]]
        if not used:
            continue
        held = slice(used[0], used[-1] + 1)  # those without rows at either end need no weights
        weights = dequantize(codes_EC[held], scales_ES[held], format_of(kind), shape_KM, dtype)
        for expert in used:
            tokens = slice(*rows[expert])
            weight = weights[expert - used[0]].t() if transposed else weights[expert - used[0]]
            if y.dtype == dtype:
                torch.mm(x[tokens], weight, out=y[tokens])
            else:
                y[tokens] = x[tokens] @ weight
        del weights, weight  # before the next group's are made
    return y


@_product.register_fake
def _(
    x: torch.Tensor,
    codes_EC: torch.Tensor,
    scales_ES: torch.Tensor,
    ends: Sequence[int],
    kind: str,
    shape_KM: Sequence[int],
    transposed: bool,
) -> torch.Tensor:
    return x.new_empty(len(x), shape_KM[not transposed])


@register_flop_formula(torch.ops.l4cockpit.quantized_grouped_mm)
def _flops(x: torch.Size, *arguments: Any, out_shape: object = None, **options: object) -> int:
    """Each row with each column of its expert's matrix."""
    rows, columns = arguments[4]
    return 2 * int(x[0]) * int(rows) * int(columns)
