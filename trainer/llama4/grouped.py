"""Grouped matrix products: each group of rows times its own matrix, and nothing else.

Shapes: N rows sorted by group, E groups, K inner and M outer width. ends_E holds where each
group ends: group e has the rows ends[e-1] … ends[e]; any of them may be empty.

On a GPU these are torch's grouped kernels (docs/decisions/grouped-kernel.md). On a CPU a loop over
the groups calls the plain product, in float32 where the processor has no bfloat16 of its own: torch
multiplies bfloat16 there element by element, hundreds of times slower.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.autograd.function import once_differentiable
from torch.nn.functional import pad
from torch.utils.flop_counter import flop_registry, register_flop_formula


def grouped_mm(x_NK: torch.Tensor, w_EKM: torch.Tensor, ends_E: torch.Tensor) -> torch.Tensor:
    """[N, M]: the rows of group e times w[e]. ends_E is int32, on the device of x, and its last
    entry is N. Gradients flow to x and w, and what only a frozen one would need is not kept."""
    product: torch.Tensor = _GroupedProduct.apply(x_NK, w_EKM, ends_E)
    return product


class _GroupedProduct(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x_NK: torch.Tensor, w_EKM: torch.Tensor, ends_E: torch.Tensor
    ) -> torch.Tensor:
        x_wants, w_wants = ctx.needs_input_grad[:2]
        ctx.save_for_backward(x_NK if w_wants else None, w_EKM if x_wants else None, ends_E)
        return product(x_NK, w_EKM, ends_E)

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, dy_NM: torch.Tensor
    ) -> tuple[torch.Tensor | None, torch.Tensor | None, None]:
        x_NK, w_EKM, ends_E = ctx.saved_tensors
        dy_NM = dy_NM.contiguous()
        dx = None if w_EKM is None else product(dy_NM, w_EKM.transpose(1, 2), ends_E)
        dw = None if x_NK is None else outer_product(x_NK, dy_NM, ends_E)
        return dx, dw, None


def product(x_NK: torch.Tensor, w_EKM: torch.Tensor, ends_E: torch.Tensor) -> torch.Tensor:
    """`grouped_mm` without gradients. w may be a transposed view."""
    if _has_kernel(x_NK):
        width, short, narrow = w_EKM.shape[2], -x_NK.shape[1] % _WIDTHS, -w_EKM.shape[2] % _WIDTHS
        if not short and not narrow:
            return torch._grouped_mm(x_NK, w_EKM, offs=ends_E)
        x_NK, w_EKM = pad(x_NK, (0, short)), pad(w_EKM, (0, narrow, 0, short))
        return torch._grouped_mm(x_NK, w_EKM, offs=ends_E)[:, :width].contiguous()
    result: torch.Tensor = torch.ops.l4cockpit.grouped_mm(x_NK, w_EKM, ends_E)
    return result


def outer_product(x_NK: torch.Tensor, dy_NM: torch.Tensor, ends_E: torch.Tensor) -> torch.Tensor:
    """[E, K, M]: xᵀ dy of each group's rows, zero for an empty group; the gradient of w."""
    if _has_kernel(x_NK):
        inner, width = x_NK.shape[1], dy_NM.shape[1]
        x_NK, dy_NM = pad(x_NK, (0, -inner % _WIDTHS)), pad(dy_NM, (0, -width % _WIDTHS))
        dw_EKM = torch._grouped_mm(x_NK.t(), dy_NM, offs=ends_E)[:, :inner, :width]
        # The kernel does not promise to write what belongs to an empty group.
        empty_E = ends_E.diff(prepend=ends_E.new_zeros(1)) == 0
        return dw_EKM.masked_fill_(empty_E[:, None, None], 0)
    result: torch.Tensor = torch.ops.l4cockpit.grouped_outer(x_NK, dy_NM, ends_E)
    return result


_WIDTHS = 8
"""The kernels want rows of whole 16 bytes."""


def _has_kernel(x: torch.Tensor) -> bool:
    return x.is_cuda and x.dtype == torch.bfloat16


# Operators of their own, so that selective activation checkpointing knows them by name.


@torch.library.custom_op("l4cockpit::grouped_mm", mutates_args=())
def _loop_product(x_NK: torch.Tensor, w_EKM: torch.Tensor, ends_E: torch.Tensor) -> torch.Tensor:
    y_NM = x_NK.new_empty(x_NK.shape[0], w_EKM.shape[2])
    if (dtype := product_dtype(x_NK)) != x_NK.dtype:
        x_NK, scratch_KM = x_NK.to(dtype), torch.empty_like(w_EKM[0], dtype=dtype)
        for e, rows in _groups(ends_E):
            y_NM[rows] = x_NK[rows] @ scratch_KM.copy_(w_EKM[e])
    else:
        for e, rows in _groups(ends_E):
            torch.mm(x_NK[rows], w_EKM[e], out=y_NM[rows])
    return y_NM


@torch.library.custom_op("l4cockpit::grouped_outer", mutates_args=())
def _loop_outer_product(
    x_NK: torch.Tensor, dy_NM: torch.Tensor, ends_E: torch.Tensor
) -> torch.Tensor:
    dw_EKM = x_NK.new_empty(len(ends_E), x_NK.shape[1], dy_NM.shape[1])
    # Zeros only where nothing else is written: that is a pass over the memory of all experts.
    for e in (ends_E.diff(prepend=ends_E.new_zeros(1)) == 0).nonzero().flatten().tolist():
        dw_EKM[e].zero_()
    if (dtype := product_dtype(x_NK)) != x_NK.dtype:
        x_NK, dy_NM = x_NK.to(dtype), dy_NM.to(dtype)
        for e, rows in _groups(ends_E):
            dw_EKM[e] = x_NK[rows].t() @ dy_NM[rows]
    else:
        for e, rows in _groups(ends_E):
            torch.mm(x_NK[rows].t(), dy_NM[rows], out=dw_EKM[e])
    return dw_EKM


@_loop_product.register_fake
def _(x_NK: torch.Tensor, w_EKM: torch.Tensor, ends_E: torch.Tensor) -> torch.Tensor:
    return x_NK.new_empty(x_NK.shape[0], w_EKM.shape[2])


@_loop_outer_product.register_fake
def _(x_NK: torch.Tensor, dy_NM: torch.Tensor, ends_E: torch.Tensor) -> torch.Tensor:
    return x_NK.new_empty(len(ends_E), x_NK.shape[1], dy_NM.shape[1])


def _flops(
    left: torch.Size, right: torch.Size, *_: object, out_shape: object = None, **options: object
) -> int:
    """Each row of the left once with each column that it meets."""
    return 2 * left[0] * left[1] * right[-1]


_PRODUCTS = [torch.ops.l4cockpit.grouped_mm, torch.ops.l4cockpit.grouped_outer]
if torch.ops.aten._grouped_mm not in flop_registry:  # torch 2.13 does not count its own
    _PRODUCTS.append(torch.ops.aten._grouped_mm)
register_flop_formula(_PRODUCTS)(_flops)


def _groups(ends_E: torch.Tensor) -> Iterator[tuple[int, slice]]:
    """Number and rows of each group that has some."""
    start = 0
    for e, end in enumerate(ends_E.tolist()):
        if end > start:
            yield e, slice(start, end)
        start = end


def product_dtype(x: torch.Tensor) -> torch.dtype:
    """What to multiply x in: float32 on a CPU without bfloat16 of its own, where torch would
    multiply element by element, hundreds of times slower; else its own dtype."""
    native = torch.ops.mkldnn._is_mkldnn_bf16_supported
    slow = x.device.type == "cpu" and x.dtype == torch.bfloat16 and not native()
    return torch.float32 if slow else x.dtype
