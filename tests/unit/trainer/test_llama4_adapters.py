"""Adapters: against PEFT's on Transformers' own model, and what they cost."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from transformers import Llama4ForCausalLM

from tests.unit.trainer.llama4_helpers import causal_lm, config, distance, exact, gradients
from trainer.contract.config import Adapter
from trainer.llama4 import adapters, peft_format
from trainer.llama4.lora import GroupedLowRank
from trainer.llama4.moe import make_sparse

ALL = ["attention", "shared", "experts", "router"]
TOKENS = torch.randint(0, 96, (2, 24), generator=torch.Generator().manual_seed(3))


def settings(*targets: Any, **changes: Any) -> Adapter:
    return Adapter(kind="lora", rank=4, alpha=6.0, targets=list(targets), **changes)


def adapted(chosen: Adapter, moved: bool = True, **shape: Any) -> Llama4ForCausalLM:
    model = causal_lm(config(**shape))
    make_sparse(model)
    adapters.add(model, chosen, torch.float64, seed=0)
    if moved:  # as after training: neither factor is zero
        torch.manual_seed(5)
        for place in adapters.placed(model):
            nn.init.normal_(place.adapter.lora_B, std=0.2)
    return model


def save(model: Llama4ForCausalLM, chosen: Adapter, folder: Path) -> None:
    slots = peft_format.slots(model.config, chosen)
    state: dict[str, torch.Tensor] = {}
    for place in adapters.placed(model):
        state |= dict(peft_format.tensors(slots[place.module, place.weight], place.adapter))
    peft_format.save(folder, chosen, state)


@pytest.mark.parametrize(
    "targets",
    [list(some) for n in (1, 2, 4) for some in itertools.combinations(ALL, n)],
    ids="+".join,
)
def test_peft_reads_what_is_saved_and_computes_the_same(targets: list[str], tmp_path: Path) -> None:
    model = adapted(settings(*targets)).eval()
    save(model, settings(*targets), tmp_path)
    stock = causal_lm(config())
    plain = stock(input_ids=TOKENS).logits.detach()
    theirs = PeftModel.from_pretrained(stock, str(tmp_path)).double().eval()
    if "router" not in targets:  # PEFT's wrapper needs the class it wrapped
        exact(theirs)
    expected = theirs(input_ids=TOKENS).logits
    assert distance(model(input_ids=TOKENS).logits, expected) < 1e-6
    assert distance(expected, plain) > 1e-3, "the adapters do something"


@pytest.mark.parametrize("hidden", [32, 48])
def test_a_square_expert_matrix_is_not_mistaken(hidden: int, tmp_path: Path) -> None:
    shape = {"hidden_size": hidden, "intermediate_size": hidden // 2}
    model = adapted(settings("experts"), **shape).eval()
    save(model, settings("experts"), tmp_path)
    theirs = PeftModel.from_pretrained(causal_lm(config(**shape)), str(tmp_path)).double()
    expected = theirs(input_ids=TOKENS).logits
    assert distance(model(input_ids=TOKENS).logits, expected) < 1e-6


def test_it_starts_without_effect_and_only_adapters_train() -> None:
    model, plain = adapted(settings(*ALL), moved=False), causal_lm(config())
    assert distance(model(input_ids=TOKENS).logits, plain(input_ids=TOKENS).logits) < 1e-6
    trainable = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trainable == {name for name, _ in model.named_parameters() if "lora_" in name}
    assert len(trainable) == 2 * 4 * (4 + 3 + 2 + 1)


def test_gradients_are_those_of_the_full_change_of_the_weights() -> None:
    """W + scale · A B in full, by autograd, is the independent reference."""
    model, reference = adapted(settings("experts")), causal_lm(config())
    exact(reference)
    factors = {}
    for place in adapters.placed(model):
        a, b = (f.detach().clone().requires_grad_() for f in place.adapter.parameters())
        factors[f"{place.module}.{place.weight}"] = (a, b)
    named = {
        name: p + 1.5 * factors[name][0] @ factors[name][1] if name in factors else p
        for name, p in reference.named_parameters()
    }
    loss = torch.func.functional_call(
        reference, named, kwargs={"input_ids": TOKENS, "labels": TOKENS}
    ).loss
    loss.backward()
    model(input_ids=TOKENS, labels=TOKENS).loss.backward()
    for place in adapters.placed(model):
        a, b = factors[f"{place.module}.{place.weight}"]
        assert distance(place.adapter.lora_A.grad, a.grad) < 1e-6
        assert distance(place.adapter.lora_B.grad, b.grad) < 1e-6


def test_the_full_change_of_an_experts_weight_is_never_built() -> None:
    """The multiplications of an adapter are those of its two factors, in each pass."""
    rows, inputs, outputs, rank, experts = 50, 24, 40, 4, 8
    adapter = GroupedLowRank(experts, inputs, outputs, rank, 1.0, 0.0)
    x = torch.randn(rows, inputs, requires_grad=True)
    ends = torch.arange(1, experts + 1, dtype=torch.int32) * (rows // experts)
    ends[-1] = rows
    with FlopCounterMode(display=False) as counter:
        adapter(x, ends).sum().backward()
    assert counter.get_total_flops() == 3 * 2 * rows * rank * (inputs + outputs)


def test_dropout_falls_on_the_adapters_input_while_training_alone() -> None:
    chosen = settings(*ALL, dropout=0.5)
    model = adapted(chosen)
    torch.manual_seed(0)
    noisy = model.train()(input_ids=TOKENS).logits
    again = model(input_ids=TOKENS).logits
    assert not torch.equal(noisy, again)
    torch.manual_seed(0)
    assert torch.equal(model(input_ids=TOKENS).logits, noisy)
    calm = model.eval()(input_ids=TOKENS).logits
    assert torch.equal(model(input_ids=TOKENS).logits, calm)
    assert distance(calm, adapted(settings(*ALL)).eval()(input_ids=TOKENS).logits) == 0


def test_an_expert_without_tokens_keeps_its_adapter() -> None:
    model = adapted(settings("experts"), moved=False, experts=64)
    model(input_ids=TOKENS, labels=TOKENS).loss.backward()
    for name, gradient in gradients(model).items():
        if "lora_B" in name:
            used = gradient.flatten(1).abs().sum(1) > 0
            assert 0 < used.sum() < 64, name


def test_a_target_without_a_place_is_refused() -> None:
    model = causal_lm(config())  # not made sparse
    with pytest.raises(ValueError, match="no experts to adapt"):
        adapters.add(model, settings("attention", "experts"), torch.float64, seed=0)
