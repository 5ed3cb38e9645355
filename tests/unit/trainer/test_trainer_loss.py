"""The loss by chunks: stock's value and gradients, and never the logits of all tokens."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from routing_helpers import tiny_model
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode
from trainer_helpers import quick
from transformers import Llama4ForCausalLM
from transformers.loss.loss_utils import ForCausalLMLoss

from trainer.llama4 import loss

TOKENS = torch.randint(64, (2, 12), generator=torch.Generator().manual_seed(7))
VOCABULARY, HIDDEN = 64, 16


def stock_and_ours(rows: int | None = None) -> tuple[Llama4ForCausalLM, Llama4ForCausalLM]:
    stock = tiny_model(4, 1, recompute=False)
    ours = copy.deepcopy(stock)
    loss.install(ours)
    ours.lm_head.rows = rows  # type: ignore[assignment]
    return stock, ours


def labelled(mask: list[bool]) -> torch.Tensor:
    return torch.where(torch.tensor(mask).view(TOKENS.shape), TOKENS, -100)


def gradients(model: Llama4ForCausalLM) -> dict[str, torch.Tensor]:
    return {n: p.grad for n, p in model.named_parameters() if p.grad is not None}


@quick
@given(st.lists(st.booleans(), min_size=24, max_size=24), st.sampled_from([1, 3, 7, 64]))
def test_for_any_labels_value_and_gradients_are_stocks(mask: list[bool], rows: int) -> None:
    chance = torch.Generator().manual_seed(rows)
    weight = torch.randn(VOCABULARY, HIDDEN, generator=chance, requires_grad=True)
    hidden = torch.randn(*TOKENS.shape, HIDDEN, generator=chance, requires_grad=True)
    labels, linear = labelled(mask), torch.nn.functional.linear
    wanted = ForCausalLMLoss(
        linear(hidden, weight), labels, VOCABULARY, num_items_in_batch=torch.tensor(13)
    )
    positions, targets = loss.predicted(labels)
    found = loss.summed_loss(hidden.flatten(0, 1)[positions], weight, targets, rows) / 13
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=0)
    for ours, stocks in zip(
        *(torch.autograd.grad(v, [hidden, weight]) for v in (found, wanted)), strict=True
    ):
        torch.testing.assert_close(ours, stocks, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("items", [None, 40])
def test_a_whole_models_loss_and_gradients_are_stocks(items: int | None) -> None:
    stock, ours = stock_and_ours(rows=5)
    labels = labelled([True, False, False] * 8)
    count = None if items is None else torch.tensor(items)
    losses = [
        model(input_ids=TOKENS, labels=labels, num_items_in_batch=count).loss
        for model in (stock, ours)
    ]
    for value in losses:
        value.backward()
    torch.testing.assert_close(losses[1], losses[0], rtol=1e-5, atol=0)
    wanted, found = gradients(stock), gradients(ours)
    assert wanted.keys() == found.keys()
    for name, grad in wanted.items():
        torch.testing.assert_close(found[name], grad, rtol=1e-5, atol=1e-7, msg=name)


def test_without_any_label_it_is_zero_and_every_weight_gets_a_gradient_of_zero() -> None:
    _, ours = stock_and_ours()
    value = ours(input_ids=TOKENS, labels=torch.full_like(TOKENS, -100)).loss
    value.backward()
    assert value.item() == 0
    found = gradients(ours)
    # A rank without labels must not leave the others waiting for its gradients.
    assert found.keys() == dict(ours.named_parameters()).keys()
    assert not any(grad.any() for grad in found.values())


@pytest.mark.parametrize("trainable", ["both", "hidden", "weight"])
def test_in_float64_gradients_are_exact_whatever_trains(trainable: str) -> None:
    torch.manual_seed(0)
    hidden = torch.randn(5, 3, dtype=torch.float64, requires_grad=trainable != "weight")
    weight = torch.randn(7, 3, dtype=torch.float64, requires_grad=trainable != "hidden")
    targets, learnt = (
        torch.tensor([0, 6, 3, 3, 1]),
        [t for t in (hidden, weight) if t.requires_grad],
    )
    found = loss.summed_loss(hidden, weight, targets, rows=2)
    logits = torch.nn.functional.linear(hidden, weight)
    wanted = torch.nn.functional.cross_entropy(logits, targets, reduction="sum")
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=0)
    torch.testing.assert_close(
        torch.autograd.grad(3 * found, learnt), torch.autograd.grad(3 * wanted, learnt),
        rtol=1e-12, atol=1e-14,
    )  # fmt: skip


def test_a_second_backward_pass_is_refused_instead_of_wrong() -> None:
    hidden = torch.randn(2, 3, requires_grad=True)
    value = loss.summed_loss(hidden, torch.randn(4, 3), torch.tensor([0, 3]))
    value.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="once only"):
        value.backward()


def test_in_bfloat16_it_is_no_farther_from_the_truth_than_stock() -> None:
    torch.manual_seed(0)
    exact_h = torch.randn(24, HIDDEN).bfloat16()
    exact_w = torch.randn(VOCABULARY, HIDDEN).bfloat16()
    targets = torch.randint(VOCABULARY, (24,))

    def graded(dtype: torch.dtype, ours: bool) -> list[torch.Tensor]:
        h, w = (t.detach().to(dtype).requires_grad_() for t in (exact_h, exact_w))
        if ours:
            value = loss.summed_loss(h, w, targets, rows=8)
        else:
            logits = torch.nn.functional.linear(h, w)
            exact = logits if dtype == torch.float64 else logits.float()
            value = torch.nn.functional.cross_entropy(exact, targets, reduction="sum")
        value.backward()
        assert h.grad is not None
        assert w.grad is not None
        return [value.double(), h.grad.double(), w.grad.double()]

    truth = graded(torch.float64, ours=False)
    stock, ours = graded(torch.bfloat16, ours=False), graded(torch.bfloat16, ours=True)
    for true, near, found in zip(truth, stock, ours, strict=True):
        assert (found - true).norm() <= 1.5 * (near - true).norm() + 1e-6 * true.norm()


class Widest(TorchDispatchMode):
    """The most rows that any tensor as wide as the vocabulary had."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = 0

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else [result]:
            if isinstance(tensor, torch.Tensor) and tensor.shape[-1:] == (VOCABULARY,):
                self.rows = max(self.rows, tensor.numel() // VOCABULARY)
        return result


@pytest.mark.parametrize("cross_entropy", ["by_torch", "by_deepspeed"])
def test_logits_of_a_chunk_only_ever_exist(
    cross_entropy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loss, "by_torch", getattr(loss, cross_entropy))
    stock, ours = stock_and_ours(rows=5)
    rows = []
    for model in (stock, ours):
        with Widest() as widest:
            model(input_ids=TOKENS, labels=TOKENS).loss.backward()
        rows.append(widest.rows)
    # 16 is the hidden size: the weight's gradient, transposed.
    assert rows == [TOKENS.numel(), HIDDEN]


def test_tokens_without_a_label_are_not_multiplied() -> None:
    _, ours = stock_and_ours()
    ours.requires_grad_(False)

    def multiplied(labels: torch.Tensor) -> int:
        hidden = torch.randn(*TOKENS.shape, HIDDEN, requires_grad=True)
        with FlopCounterMode(display=False) as counter:
            ours.lm_head(hidden, *loss.predicted(labels)).backward()
        return counter.get_total_flops()

    per_token = 2 * 2 * VOCABULARY * HIDDEN  # forward, and the hidden states' gradient
    assert multiplied(TOKENS) == 22 * per_token  # the last of a sequence predicts nothing
    assert multiplied(torch.where(TOKENS[0, 5] == TOKENS, TOKENS, -100)) < 8 * per_token
    assert multiplied(torch.full_like(TOKENS, -100)) == 0


def test_a_frozen_head_gets_no_gradient_and_evaluation_none_at_all() -> None:
    _, ours = stock_and_ours()
    ours.lm_head.requires_grad_(False)
    ours(input_ids=TOKENS, labels=TOKENS).loss.backward()
    assert ours.lm_head.weight.grad is None
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        hidden = torch.randn(*TOKENS.shape, HIDDEN)
        ours.lm_head(hidden, *loss.predicted(TOKENS))
    assert counter.get_total_flops() == 22 * 2 * VOCABULARY * HIDDEN


@quick
@given(st.integers(1, 9), st.integers(2, 300), st.integers(0, 2**31), st.booleans())
def test_deepspeeds_kernel_and_torchs_agree(rows: int, words: int, seed: int, half: bool) -> None:
    chance = torch.Generator().manual_seed(seed)
    logits = 4 * torch.randn(rows, words, generator=chance)
    logits = logits.bfloat16() if half else logits
    targets = torch.randint(words, (rows,), generator=chance)
    for gradient in (True, False):
        wanted = loss.by_torch(logits.clone(), targets, gradient)
        found = loss.by_deepspeed(logits.clone(), targets, gradient)
        torch.testing.assert_close(found, wanted)


def test_names_weights_and_logits_stay_stocks() -> None:
    stock = tiny_model(4, 1, recompute=False)
    before = dict(stock.named_parameters())
    with torch.no_grad():
        logits = stock(input_ids=TOKENS).logits
        loss.install(stock)
        assert torch.equal(stock(input_ids=TOKENS).logits, logits)
    after = dict(stock.named_parameters())
    assert list(after) == list(before)
    assert all(after[name] is before[name] for name in before)


def test_chunks_of_llama_4_are_whole_tiles_within_the_allowance() -> None:
    weight = torch.empty(202_048, 5120, dtype=torch.bfloat16, device="meta")
    rows = loss.chunk_rows(weight)
    assert rows % 128 == 0
    assert 0 < rows * 202_048 * 2 <= loss.CHUNK_BYTES["cpu"]
    assert loss.chunk_rows(torch.empty(2**28, 1, device="meta")) == 1
