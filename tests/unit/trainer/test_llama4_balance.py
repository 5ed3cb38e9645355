"""Balance: the losses are what their papers say, and a collapsed router recovers by them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import Llama4ForCausalLM

from tests.unit.trainer.llama4_helpers import causal_lm, config, distance, gradients
from trainer.contract.config import Moe
from trainer.llama4.balance import Balance, auxiliary_loss
from trainer.llama4.counting import RoutingCounter, routers
from trainer.llama4.moe import make_sparse

TOKENS = torch.randint(0, 96, (4, 32), generator=torch.Generator().manual_seed(3))


def sparse(recompute: bool = False) -> Llama4ForCausalLM:
    model = causal_lm(config(experts=8)).train()
    make_sparse(model)
    if recompute:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    return model


def logits_of(model: Llama4ForCausalLM) -> list[torch.Tensor]:
    """Of every router, by hooks of the test's own."""
    seen: list[torch.Tensor] = []
    hooks = [
        router.register_forward_hook(lambda _r, _i, out: seen.append(out[1]))
        for _, router in routers(model)
    ]
    model(input_ids=TOKENS)
    for hook in hooks:
        hook.remove()
    return seen


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 16), st.integers(1, 50), st.integers(0, 2**31))
def test_the_auxiliary_loss_is_one_when_balanced_and_all_experts_when_collapsed(
    experts: int, each: int, seed: int
) -> None:
    even = torch.full((1, experts), each)
    chance = torch.Generator().manual_seed(seed)
    any_softmax = torch.rand(1, experts, generator=chance).softmax(-1)
    assert auxiliary_loss(even, any_softmax).item() == pytest.approx(1)
    one = torch.zeros(1, experts, dtype=torch.int64)
    one[0, 0] = each
    assert auxiliary_loss(one, one / each).item() == pytest.approx(experts)


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize(("coef", "z_coef"), [(0.3, 0.0), (0.0, 0.02), (0.3, 0.02)])
def test_loss_and_gradients_are_the_formula_by_autograd(
    coef: float, z_coef: float, recompute: bool
) -> None:
    model, reference = sparse(recompute), sparse()
    balance = Balance(model, Moe(balance_coef=coef, z_coef=z_coef), passes=2)
    with balance.collecting():
        cross_entropy = model(input_ids=TOKENS, labels=TOKENS).loss
    loss = balance.loss()
    assert loss is not None
    (cross_entropy + loss).backward()

    expected = torch.zeros((), dtype=torch.float64)
    logits = logits_of(reference)
    for logits_TE in logits:
        chosen = torch.nn.functional.one_hot(logits_TE.argmax(-1), 8).double()
        aux = 8 * (chosen.mean(0) * logits_TE.softmax(-1).mean(0)).sum()
        z = logits_TE.exp().sum(-1).log().square().mean()
        expected = expected + (coef * aux + z_coef * z) / len(logits) / 2
    (reference(input_ids=TOKENS, labels=TOKENS).loss + expected).backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    theirs = gradients(reference)
    for name, gradient in gradients(model).items():
        assert distance(gradient, theirs[name]) < 1e-5, name


def test_without_coefficients_there_is_no_loss() -> None:
    model = sparse()
    balance = Balance(model, Moe(), passes=1)
    with balance.collecting():
        model(input_ids=TOKENS)
    assert balance.loss() is None


def test_counts_of_a_steps_passes_add_up() -> None:
    """The second pass is judged by the counts of both."""
    model, counter_model = sparse(), sparse()
    counter = RoutingCounter(counter_model, torch.device("cpu"))
    balance = Balance(model, Moe(balance_coef=1.0), passes=1)
    for tokens in (TOKENS[:2], TOKENS[2:]):
        with balance.collecting():
            model(input_ids=tokens)
        loss = balance.loss()
    with counter.counting():
        counter_model(input_ids=TOKENS)
    counts_LE = counter.read(counter.take()).counts_LE
    with counter.counting():
        counter_model(input_ids=TOKENS[2:])
    softmax_LE = counter.read(counter.take()).softmax_LE / TOKENS[2:].numel()
    expected = auxiliary_loss(counts_LE, softmax_LE).mean()
    assert loss is not None
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


def collapsed_and_trained(moe: Moe, steps: int = 60) -> tuple[float, float]:
    """The largest share of an expert in a layer, before and after training a model whose routers
    were all pushed towards expert 0."""
    model = sparse().float()
    for _, router in routers(model):

        def push(router: Any, inputs: Any, outputs: Any) -> None:
            # Least squares: the row that gives every token a logit of 2, the others' being small.
            row = torch.linalg.lstsq(inputs[0], torch.full((len(inputs[0]), 1), 2.0)).solution
            router.weight.data *= 0.1
            router.weight.data[0] = row[:, 0]

        hook = router.register_forward_hook(push)
        with torch.no_grad():
            model(input_ids=TOKENS)
        hook.remove()
    counter = RoutingCounter(model, torch.device("cpu"))
    balance = Balance(model, moe, passes=1)
    optimizer = torch.optim.AdamW([r.weight for _, r in routers(model)], lr=1e-2)
    shares = []
    for _ in range(steps):
        optimizer.zero_grad()
        with counter.counting(), balance.collecting():
            loss = model(input_ids=TOKENS, labels=TOKENS).loss
        extra = balance.loss()
        (loss if extra is None else loss + extra).backward()
        optimizer.step()
        balance.end_step()
        counts_LE = counter.read(counter.take()).counts_LE
        shares.append(float((counts_LE.amax(1) / TOKENS.numel()).max()))
    return shares[0], shares[-1]


def test_a_collapsed_router_stays_so_without_any_of_it() -> None:
    before, after = collapsed_and_trained(Moe())
    assert before > 0.9
    assert after > 0.6


@pytest.mark.parametrize("moe", [Moe(balance_coef=1.0), Moe(bias_rate=0.02)], ids=["loss", "bias"])
def test_and_recovers_by_the_auxiliary_loss_or_the_bias(moe: Moe) -> None:
    before, after = collapsed_and_trained(moe)
    assert before > 0.9
    assert after < 0.4


def test_the_bias_moves_choices_and_no_score() -> None:
    model = sparse()
    _, router = routers(model)[0]
    x = torch.randn(50, 32, dtype=torch.float64)
    plain = router(x)
    router.use_bias(0.01)
    router.move_bias(torch.tensor([400] + [0] * 7))
    pushed = router(x)
    assert (pushed.experts_TK == 0).all()
    assert distance(pushed.scores_TK[:, 0], plain.logits_TE[:, 0].sigmoid()) < 1e-12
    assert router.bfloat16().bias_steps_E.tolist() == [400] + [0] * 7, "a cast does not round it"
