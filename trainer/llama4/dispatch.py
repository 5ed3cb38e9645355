"""Tokens to their experts and back, without atomic additions, so that sums have one order.

Shapes: T tokens, H hidden width, K experts per token, N = T·K routed rows.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.autograd.function import once_differentiable

from trainer.llama4.routing import Routing


def dispatch(x_TH: torch.Tensor, routing: Routing) -> torch.Tensor:
    """[N, H]: each token times its score, once for each of its experts, sorted by expert. Llama 4
    weighs an expert's input, not its output."""
    rows: torch.Tensor = _Dispatch.apply(x_TH, routing.scores_TK, routing.order_N, routing.place_N)
    return rows


def combine(y_NH: torch.Tensor, routing: Routing) -> torch.Tensor:
    """[T, H]: the sum of what a token's experts made of it."""
    out: torch.Tensor = _Combine.apply(
        y_NH, routing.order_N, routing.place_N, routing.scores_TK.shape[1]
    )
    return out


class _Dispatch(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x_TH: torch.Tensor,
        scores_TK: torch.Tensor,
        order_N: torch.Tensor,
        place_N: torch.Tensor,
    ) -> torch.Tensor:
        # The sorted copy is gathered again in backward rather than kept.
        ctx.save_for_backward(x_TH, scores_TK, order_N, place_N)
        rows_NH = x_TH[order_N // scores_TK.shape[1]]
        return rows_NH.mul_(scores_TK.flatten()[order_N, None])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_NH: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x_TH, scores_TK, order_N, place_N = ctx.saved_tensors
        top_k, dx, dscores = scores_TK.shape[1], None, None
        if ctx.needs_input_grad[1]:
            dscores_N = (d_NH * x_TH[order_N // top_k]).sum(-1)
            dscores = dscores_N[place_N].view_as(scores_TK)
        if ctx.needs_input_grad[0]:
            dx = d_NH[place_N].mul_(scores_TK.reshape(-1, 1))
            dx = _sum(dx, top_k)
        return dx, dscores, None, None


class _Combine(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, y_NH: torch.Tensor, order_N: torch.Tensor, place_N: torch.Tensor, top_k: int
    ) -> torch.Tensor:
        ctx.save_for_backward(order_N)
        ctx.top_k = top_k
        return _sum(y_NH[place_N], top_k)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_TH: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (order_N,) = ctx.saved_tensors
        return d_TH[order_N // ctx.top_k], None, None, None


def _sum(rows_NH: torch.Tensor, top_k: int) -> torch.Tensor:
    return rows_NH if top_k == 1 else rows_NH.view(-1, top_k, rows_NH.shape[1]).sum(1)
