"""The sparse block against Transformers' own, which multiplies every token by every expert."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.trainer.llama4_helpers import (
    causal_lm,
    config,
    distance,
    gradients,
    moe_pair,
    tokens_for,
)
from trainer.llama4.moe import SparseMoe, make_sparse

EXPERTS = [1, 16, 128]
BOUND = {torch.float64: 1e-12, torch.float32: 1e-5}


def forward_backward(block: torch.nn.Module, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Output, and the gradient of the input, for a drawn gradient of the output."""
    x = x.clone().requires_grad_()
    out = block(x)[0]
    pull = torch.randn(out.shape, generator=torch.Generator().manual_seed(7))
    out.backward(pull.to(out.dtype))
    assert x.grad is not None
    return out, x.grad


@st.composite
def routings(draw: st.DrawFn, experts: int) -> list[int]:
    """Which expert each token wants: any, or all the same one."""
    if draw(st.booleans()):
        return [draw(st.integers(0, experts - 1))] * draw(st.integers(1, 40))
    return draw(st.lists(st.integers(0, experts - 1), min_size=1, max_size=60))


@pytest.mark.parametrize("dtype", BOUND)
@pytest.mark.parametrize("experts", EXPERTS)
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_outputs_and_gradients_are_those_of_transformers(
    dtype: torch.dtype, experts: int, data: st.DataObject
) -> None:
    top_k = data.draw(st.integers(1, min(3, experts)))
    hidden = max(32, experts)
    stock, sparse = moe_pair(experts, top_k, dtype, hidden=hidden)
    choices = data.draw(routings(experts))
    x = tokens_for(stock, choices, dtype)
    if top_k == 1:
        found = stock.router(x)[1].argmax(-1).tolist()
        assert found == choices  # the routing is the one that was drawn
    expected = forward_backward(stock, x)
    for ours, theirs in zip(forward_backward(sparse, x), expected, strict=True):
        assert distance(ours, theirs) < BOUND[dtype]
    theirs = gradients(stock)
    for name, gradient in gradients(sparse).items():
        assert distance(gradient, theirs[name]) < BOUND[dtype], name


@pytest.mark.parametrize("experts", EXPERTS)
def test_bfloat16_is_as_near_to_the_truth_as_transformers_is(experts: int) -> None:
    stock, sparse = moe_pair(experts, 1, torch.bfloat16, hidden=max(32, experts))
    exact, _ = moe_pair(experts, 1, torch.bfloat16, hidden=max(32, experts))
    exact = exact.double()
    x = tokens_for(stock, [n % experts for n in range(64)], torch.bfloat16)
    truth = forward_backward(exact, x.double())
    theirs, ours = forward_backward(stock, x), forward_backward(sparse, x)
    for t, s, o in zip(truth, theirs, ours, strict=True):
        assert distance(o, t) < max(1.5 * distance(s, t), 2**-7)
    true, stocks = gradients(exact), gradients(stock)
    for name, gradient in gradients(sparse).items():
        assert distance(gradient, true[name]) < max(1.5 * distance(stocks[name], true[name]), 2**-7)


@pytest.mark.parametrize("frozen", ["experts", "router", "shared_expert"])
def test_frozen_parts_get_no_gradient_and_change_no_other(frozen: str) -> None:
    stock, sparse = moe_pair(4, 1, torch.float64)
    for block in (stock, sparse):
        getattr(block, frozen).requires_grad_(False)
    x = tokens_for(stock, [0, 2, 2, 3, 0], torch.float64)
    expected, found = forward_backward(stock, x), forward_backward(sparse, x)
    assert distance(found[1], expected[1]) < 1e-12
    theirs, ours = gradients(stock), gradients(sparse)
    assert ours.keys() == theirs.keys()
    assert all(distance(ours[name], theirs[name]) < 1e-12 for name in ours)


def test_a_token_less_expert_has_a_gradient_of_zero() -> None:
    _, sparse = moe_pair(4, 1, torch.float32)
    forward_backward(sparse, tokens_for(sparse, [1, 1, 1], torch.float32))
    gradient = gradients(sparse)["experts.gate_up_proj"]
    assert gradient[[0, 2, 3]].abs().max() == 0 < gradient[1].abs().max()


def test_gradients_are_right_by_finite_differences() -> None:
    _, sparse = moe_pair(3, 2, torch.float64, hidden=4, intermediate=3)
    x = tokens_for(sparse, [0, 1, 1, 2], torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: sparse(x)[0], x)


@pytest.mark.parametrize("experts", EXPERTS)
@pytest.mark.parametrize("dtype", BOUND)
def test_the_whole_model_equals_transformers(experts: int, dtype: torch.dtype) -> None:
    text = config(experts)
    stock, ours = causal_lm(text, dtype), causal_lm(text, dtype)
    make_sparse(ours)
    tokens = torch.randint(0, 96, (2, 40), generator=torch.Generator().manual_seed(3))
    expected, found = stock(input_ids=tokens, labels=tokens), ours(input_ids=tokens, labels=tokens)
    assert sum(isinstance(module, SparseMoe) for module in ours.modules()) == 4
    assert distance(found.logits, expected.logits) < BOUND[dtype]
    expected.loss.backward()
    found.loss.backward()
    theirs = gradients(stock)
    for name, gradient in gradients(ours).items():
        assert distance(gradient, theirs[name]) < 3 * BOUND[dtype], name


def test_names_and_values_of_the_weights_stay() -> None:
    stock, ours = causal_lm(config()), causal_lm(config())
    make_sparse(ours)
    theirs = stock.state_dict()
    assert list(ours.state_dict()) == list(theirs)
    assert all(torch.equal(value, theirs[name]) for name, value in ours.state_dict().items())


def test_layers_without_experts_stay_dense() -> None:
    ours = causal_lm(config(interleave_moe_layer_step=2))
    make_sparse(ours)
    kinds = [type(layer.feed_forward).__name__ for layer in ours.model.layers]
    assert kinds == ["Llama4TextMLP", "SparseMoe", "Llama4TextMLP", "SparseMoe"]
