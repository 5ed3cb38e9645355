"""Operators on single elements: values, gradients, and what they keep."""

from __future__ import annotations

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

from trainer.llama4 import pointwise
from trainer.llama4.pointwise import swiglu


def stock_swiglu(gate_up: torch.Tensor) -> torch.Tensor:
    gate, up = gate_up.chunk(2, dim=-1)
    return up * torch.nn.functional.silu(gate)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rows", [0, 1, 7])
def test_swiglu_is_what_llama_4s_experts_compute(dtype: torch.dtype, rows: int) -> None:
    torch.manual_seed(rows)
    ours = torch.randn(rows, 24, dtype=dtype, requires_grad=True)
    theirs = ours.detach().clone().requires_grad_()
    grad = torch.randn(rows, 12, dtype=dtype)
    out, wanted = swiglu(ours), stock_swiglu(theirs)
    out.backward(grad)
    wanted.backward(grad)
    assert torch.equal(out, wanted)
    assert ours.grad is not None
    assert theirs.grad is not None
    assert torch.equal(ours.grad, theirs.grad)


def test_swiglus_gradient_is_its_derivative() -> None:
    torch.manual_seed(0)
    gate_up = torch.randn(3, 10, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(swiglu, gate_up)


def test_swiglu_keeps_its_argument_alone() -> None:
    kept: list[torch.Tensor] = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor)
        return tensor

    gate_up = torch.randn(5, 8, requires_grad=True)
    with saved_tensors_hooks(keep, lambda tensor: tensor):
        swiglu(gate_up)
    assert [tensor.data_ptr() for tensor in kept] == [gate_up.data_ptr()]


def test_what_is_compiled_computes_the_same() -> None:
    gate_up, grad = torch.randn(4, 12, dtype=torch.float64), torch.randn(4, 6, dtype=torch.float64)
    torch.testing.assert_close(
        pointwise._swiglu_backward_to_compile(gate_up, grad),
        pointwise._swiglu_backward(gate_up, grad),
    )
