"""Products with quantised weights: those of the same weights de-quantised, and little kept."""

from __future__ import annotations

import copy
import io
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from trainer.llama4.quant import QuantizedLinear, QuantizedStack, grouped, quantized_grouped_mm
from trainer.llama4.quant.stack import dequantize, groups

KINDS = ["nf4", "int8", "fp8"]
E, K, M = 5, 24, 40


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def products(x: torch.Tensor, weight: torch.Tensor, ends: list[int]) -> torch.Tensor:
    """Row by row, the way a reader would say it."""
    expert_of = [
        e for e, (start, end) in enumerate(pairwise([0, *ends])) for _ in range(start, end)
    ]
    return torch.stack([x[row] @ weight[expert] for row, expert in enumerate(expert_of)])


routings = st.lists(st.integers(0, 6), min_size=E, max_size=E).filter(any)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=20)
@given(counts=routings, seed=st.integers(0, 99))
def test_tokens_meet_their_own_experts_forward_and_backward(
    kind: str, counts: list[int], seed: int
) -> None:
    ends = torch.tensor(counts).cumsum(0).to(torch.int32)
    stack = QuantizedStack.of(drawn(E, K, M, seed=seed), kind)
    dense = stack.dequantize(0, E, torch.float64)
    x = drawn(int(ends[-1]), K, seed=seed + 1).double().requires_grad_()
    expected = products(x, dense, ends.tolist())
    direction = drawn(*expected.shape, seed=seed + 2).double()
    (wanted,) = torch.autograd.grad(expected, x, direction)
    found = quantized_grouped_mm(x, stack, ends)
    (gradient,) = torch.autograd.grad(found, x, direction)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(gradient, wanted)


@pytest.mark.parametrize("kind", KINDS)
def test_in_bfloat16_products_are_right_to_its_rounding(kind: str) -> None:
    """Also on processors that have no bfloat16 of their own."""
    stack = QuantizedStack.of(drawn(E, K, M), kind)
    x = drawn(10, K).bfloat16().requires_grad_()
    ends = [2, 2, 5, 9, 10]
    expected = products(x.float(), stack.dequantize(0, E, torch.float32), ends)
    (wanted,) = torch.autograd.grad(expected.sum(), x)
    found = quantized_grouped_mm(x, stack, ends)
    (gradient,) = torch.autograd.grad(found.sum(), x)
    assert found.dtype == gradient.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), expected, rtol=2**-6, atol=2**-4)
    torch.testing.assert_close(gradient, wanted, rtol=2**-6, atol=2**-4)


def test_the_operator_keeps_torchs_rules_and_its_work_is_counted() -> None:
    stack = QuantizedStack.of(drawn(E, K, M), "int8")
    arguments = (drawn(10, K), stack.codes, stack.scales, [2, 2, 5, 9, 10], "int8", [K, M])
    operator = torch.ops.l4cockpit.quantized_grouped_mm
    torch.library.opcheck(operator, (*arguments, False))
    with FlopCounterMode(display=False) as counter:
        quantized_grouped_mm(*arguments[:1], stack, arguments[3])
    assert counter.get_total_flops() == 2 * 10 * K * M


def test_rows_behind_the_last_expert_are_zero() -> None:
    stack = QuantizedStack.of(drawn(E, K, M), "int8")
    y = quantized_grouped_mm(drawn(9, K), stack, [1, 1, 3, 3, 6])
    assert torch.equal(y[6:], torch.zeros(3, M))
    assert bool(y[:6].all())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bias", [True, False])
def test_a_linear_layer_is_that_of_its_dequantised_weight(kind: str, bias: bool) -> None:
    torch.manual_seed(0)
    linear = nn.Linear(K, M, bias=bias)
    quantized = QuantizedLinear.of(linear, kind)
    linear.weight.data.copy_(quantized.dequantize(torch.float32))
    x = drawn(2, 7, K).requires_grad_()
    expected, found = linear(x), quantized(x)
    torch.testing.assert_close(found, expected)
    (wanted,) = torch.autograd.grad(expected.square().sum(), x)
    (gradient,) = torch.autograd.grad(found.square().sum(), x)
    torch.testing.assert_close(gradient, wanted)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_kept_for_the_backward_pass(kind: str) -> None:
    kept: list[torch.Size] = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor.shape)
        return tensor

    stack = QuantizedStack.of(drawn(E, K, M), kind)
    linear = QuantizedLinear.of(nn.Linear(M, K), kind)
    x = drawn(10, K).requires_grad_()
    with saved_tensors_hooks(keep, lambda tensor: tensor):
        linear(quantized_grouped_mm(x, stack, [2, 4, 6, 8, 10]))
    assert kept == []


@given(experts=st.integers(1, 20), limit=st.integers(0, 40 * 24 * 40 * 4))
def test_groups_cover_the_stack_in_order_within_the_limit_and_never_all_of_it(
    experts: int, limit: int
) -> None:
    found = list(groups(experts, K * M, torch.float32, limit))
    assert [index for first, last in found for index in range(first, last)] == list(range(experts))
    for first, last in found:
        assert last - first == 1 or (last - first) * K * M * 4 <= limit
        assert last - first == 1 or 2 * (last - first) <= experts


@pytest.mark.parametrize("kind", KINDS)
def test_only_experts_with_tokens_and_one_group_at_a_time_are_dequantised(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = QuantizedStack.of(drawn(8, K, M), kind)
    asked: list[int] = []

    def ask(codes: torch.Tensor, *rest: Any) -> torch.Tensor:
        asked.append(len(codes))
        return dequantize(codes, *rest)

    monkeypatch.setattr(grouped, "dequantize", ask)
    monkeypatch.setattr(grouped, "groups", lambda *shape: groups(*shape, limit=2 * K * M * 4))
    quantized_grouped_mm(drawn(6, K), stack, [0, 2, 2, 2, 2, 3, 4, 6])
    assert asked == [1, 1, 2]


@pytest.mark.parametrize("kind", KINDS)
def test_no_cast_of_the_model_changes_a_weight(kind: str) -> None:
    model = nn.Sequential(QuantizedLinear.of(nn.Linear(K, M), kind))
    before = model[0].dequantize(torch.float32)
    for cast in (lambda m: m.bfloat16(), lambda m: m.half(), lambda m: m.to(torch.float64)):
        assert torch.equal(cast(copy.deepcopy(model))[0].dequantize(torch.float32), before)
    stored = io.BytesIO()
    torch.save(model, stored)
    stored.seek(0)
    loaded = torch.load(stored, weights_only=False)
    assert torch.equal(loaded[0].dequantize(torch.float32), before)


def test_checkpoints_carry_no_quantised_weight_and_load_without() -> None:
    model = nn.ModuleDict({"base": QuantizedLinear(K, M, "int8"), "trained": nn.Linear(M, 2)})
    assert set(model.state_dict()) == {"trained.weight", "trained.bias"}
    model.load_state_dict(model.state_dict(), strict=True)


def test_a_random_stack_is_drawn_without_its_dense_whole() -> None:
    stack = QuantizedStack(3, 64, 128, "nf4")
    stack.fill_normal(0.02, torch.Generator().manual_seed(1))
    values = stack.dequantize(0, 3, torch.float32)
    assert values.std() == pytest.approx(0.02, rel=0.05)
    assert not torch.equal(values[0], values[1])


def test_a_matrix_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"a matrix of \[40, 24\] for \[24, 40\]"):
        QuantizedStack(E, K, M, "int8").put(0, drawn(M, K))
