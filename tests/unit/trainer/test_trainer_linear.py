"""Linear layers that compute in float32 where bfloat16 would take for ever."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.unit.trainer.llama4_helpers import distance
from trainer.llama4 import grouped
from trainer.llama4.linear import WideLinear, linear, widen
from trainer.llama4.lora import LoraLinear, LowRank

ROUNDING = 2**-7


@pytest.fixture(autouse=True)
def a_cpu_without_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def pulled(x: torch.Tensor, w: torch.Tensor, stock_forward: bool) -> list[torch.Tensor]:
    """Output and gradients of x and w."""
    leaves = [x.clone().requires_grad_(), w.clone().requires_grad_()]
    y = linear(*leaves, stock_forward)
    y.backward(drawn(*y.shape).to(y.dtype))
    found = [y.detach(), *(leaf.grad for leaf in leaves if leaf.grad is not None)]
    assert len(found) == 3
    return found


@pytest.mark.parametrize("shape", [(5, 16), (2, 3, 16)])
@pytest.mark.parametrize("stock_forward", [False, True])
def test_bfloat16_is_float32_rounded_once(shape: tuple[int, ...], stock_forward: bool) -> None:
    x, w = drawn(*shape).bfloat16(), drawn(8, 16).bfloat16()
    exact = pulled(x.float(), w.float(), stock_forward)
    for found, wanted in zip(pulled(x, w, stock_forward), exact, strict=True):
        assert found.dtype == torch.bfloat16
        assert distance(found, wanted) < ROUNDING


def test_a_choice_by_stock_products_is_stocks_to_the_bit() -> None:
    x, w = drawn(64, 32).bfloat16(), drawn(16, 32).bfloat16()
    wanted = nn.functional.linear(x, w)
    assert torch.equal(linear(x.requires_grad_(), w, stock_forward=True), wanted)


def test_what_is_frozen_is_not_kept() -> None:
    x, w = drawn(4, 16).bfloat16().requires_grad_(), drawn(8, 16).bfloat16()
    kept: list[torch.Tensor] = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        linear(x, w)
    assert [tensor.shape for tensor in kept] == [w.shape]


def test_plain_layers_are_widened_and_others_left_alone() -> None:
    class Own(nn.Linear):
        pass

    base = nn.Linear(16, 8)
    adapted = LoraLinear(base, LowRank(16, 8, 2, 1.0, 0.0))
    model = nn.ModuleDict({"adapted": adapted, "own": Own(16, 8)})
    names = [name for name, _ in model.named_parameters()]
    x = drawn(4, 16)
    before = adapted(x)
    widen(model)
    assert type(base) is WideLinear
    assert type(model["own"]) is Own
    assert [name for name, _ in model.named_parameters()] == names
    assert torch.equal(adapted(x), before)
    model.bfloat16()
    assert distance(adapted(x.bfloat16()), before) < 2 * ROUNDING
    assert grouped.product_dtype(x.bfloat16()) == torch.float32
