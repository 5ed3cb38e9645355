"""What a layer does to single elements, in few passes over memory.

Each function is an operator of its own (`torch.ops.l4cockpit.*`) with its own backward pass:
autograd keeps the arguments and nothing in between, and selective checkpointing sees one operator.
On CUDA they are compiled by torch; elsewhere they run as written (bench/pointwise.py).

Shapes: N rows, I the intermediate size.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import torch
from torch.utils._triton import has_triton

P = ParamSpec("P")
R = TypeVar("R")


def swiglu(gate_up_NI2: torch.Tensor) -> torch.Tensor:
    """`up * silu(gate)` [N, I], where gate and up are the halves of the last dimension in this
    order, as in Llama 4's fused experts. Keeps its argument alone for the backward pass."""
    return torch.ops.l4cockpit.swiglu(gate_up_NI2)  # type: ignore[no-any-return]


def chosen(eager: Callable[P, R], to_compile: Callable[P, R] | None = None) -> Callable[P, R]:
    """A function of tensors on one device: compiled from to_compile (default: eager) on a GPU, if
    Triton is there, else eager. Rows may differ from call to call without compiling anew."""

    @functools.cache
    def compiled() -> Callable[P, R]:
        return torch.compile(to_compile or eager, dynamic=True) if has_triton() else eager

    @functools.wraps(eager)
    def choose(*arguments: P.args, **options: P.kwargs) -> R:
        first = arguments[0]
        on_gpu = isinstance(first, torch.Tensor) and first.is_cuda
        return (compiled() if on_gpu else eager)(*arguments, **options)

    return choose


def _swiglu(gate_up: torch.Tensor) -> torch.Tensor:
    gate, up = gate_up.chunk(2, dim=-1)
    return torch.nn.functional.silu(gate).mul_(up)


def _swiglu_backward(gate_up: torch.Tensor, grad: torch.Tensor) -> torch.Tensor:
    """Written into the result's halves, so that nothing of their size is needed besides."""
    gate, up = gate_up.chunk(2, dim=-1)
    result = torch.empty_like(gate_up)
    grad_gate, grad_up = result.chunk(2, dim=-1)
    torch.mul(grad, up, out=grad_gate)
    torch.ops.aten.silu_backward.grad_input(grad_gate, gate, grad_input=grad_gate)
    torch.ops.aten.silu.out(gate, out=grad_up)
    grad_up.mul_(grad)
    return result


def _swiglu_backward_to_compile(gate_up: torch.Tensor, grad: torch.Tensor) -> torch.Tensor:
    """The same without views as outputs, which torch.compile refuses."""
    gate, up = gate_up.chunk(2, dim=-1)
    sigmoid = torch.sigmoid(gate)
    silu = gate * sigmoid
    return torch.cat([grad * up * (sigmoid + silu * (1 - sigmoid)), grad * silu], dim=-1)


swiglu_forward = chosen(_swiglu)
swiglu_backward = chosen(_swiglu_backward, _swiglu_backward_to_compile)


@torch.library.custom_op("l4cockpit::swiglu", mutates_args=())
def _swiglu_op(gate_up: torch.Tensor) -> torch.Tensor:
    return swiglu_forward(gate_up)


@torch.library.custom_op("l4cockpit::swiglu_backward", mutates_args=())
def _swiglu_backward_op(gate_up: torch.Tensor, grad: torch.Tensor) -> torch.Tensor:
    return swiglu_backward(gate_up, grad)


@_swiglu_op.register_fake
def _(gate_up: torch.Tensor) -> torch.Tensor:
    return gate_up.new_empty(*gate_up.shape[:-1], gate_up.shape[-1] // 2)


@_swiglu_backward_op.register_fake
def _(gate_up: torch.Tensor, grad: torch.Tensor) -> torch.Tensor:
    return torch.empty_like(gate_up)


def _keep(ctx: Any, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _swiglu_gradient(ctx: Any, grad: torch.Tensor) -> torch.Tensor:
    (gate_up,) = ctx.saved_tensors
    return torch.ops.l4cockpit.swiglu_backward(gate_up, grad)  # type: ignore[no-any-return]


_swiglu_op.register_autograd(_swiglu_gradient, setup_context=_keep)
