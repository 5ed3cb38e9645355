"""The work per token: what torch counts on a model, and the published sizes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode
from trainer_helpers import quick
from transformers import Llama4TextConfig

from trainer.contract import config as configuration
from trainer.contract.config import Adapter
from trainer.llama4 import adapters, build, flops

SHAPE: dict[str, Any] = {
    "vocab_size": 96, "hidden_size": 16, "intermediate_size": 24, "intermediate_size_mlp": 40,
    "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8,
    "num_local_experts": 4, "attention_chunk_size": 8, "max_position_embeddings": 64,
}  # fmt: skip
LENGTH = 12
SCOUT = Llama4TextConfig(
    hidden_size=5120, intermediate_size=8192, intermediate_size_mlp=16384, num_hidden_layers=48,
    num_attention_heads=40, num_key_value_heads=8, head_dim=128, vocab_size=202_048,
    num_local_experts=16, num_experts_per_tok=1, interleave_moe_layer_step=1,
)  # fmt: skip


@pytest.mark.parametrize(
    "targets",
    [
        None, ["attention"], ["shared"], ["experts"], ["router"], ["router", "shared"],
        ["attention", "shared", "experts", "router"],
    ],
)  # fmt: skip
@pytest.mark.parametrize("step", [1, 2])
@pytest.mark.parametrize("top_k", [1, 2])
def test_it_is_what_torch_counts(
    targets: Any, step: int, top_k: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = Llama4TextConfig(
        **SHAPE, interleave_moe_layer_step=step, num_experts_per_tok=top_k, use_cache=False
    )
    # Eager attention, because torch counts it, and it multiplies with every key.
    settings = {
        "model": {"tiny": {}, "dtype": "float32"}, "attention": {"kind": "eager"},
        "train": {"loss": "stock"},
    }  # fmt: skip
    monkeypatch.setattr(flops, "keys_per_token", lambda seq_len, chunk: seq_len)
    model = build.build(configuration.build(settings), text)
    adapter = Adapter(kind="lora", targets=targets, rank=3) if targets else Adapter()
    if targets:
        adapters.add(model, adapter, torch.float32, seed=0)
    tokens = torch.randint(96, (2, LENGTH))
    with FlopCounterMode(display=False) as counter:
        model(input_ids=tokens, labels=tokens).loss.backward()
    counted = counter.get_total_flops() / tokens.numel()
    assert flops.flops_per_token(text, adapter, LENGTH) == counted


@quick
@given(st.integers(1, 40), st.one_of(st.none(), st.integers(1, 50)))
def test_a_token_sees_itself_and_what_was_before_it_in_its_chunk(
    seq_len: int, chunk: int | None
) -> None:
    seen = [position % (chunk or seq_len) + 1 for position in range(seq_len)]
    assert flops.keys_per_token(seq_len, chunk) == pytest.approx(sum(seen) / seq_len)


def test_scout_costs_109_gigaflop_a_token_in_full_at_8k() -> None:
    assert flops.flops_per_token(SCOUT, Adapter(), 8192) == pytest.approx(109e9, rel=5e-3)


def test_frozen_weights_cost_no_gradient_of_their_own() -> None:
    full = flops.flops_per_token(SCOUT, Adapter(), 8192)
    lora = flops.flops_per_token(SCOUT, Adapter(kind="lora", targets=["attention"]), 8192)
    assert 0.65 * full < lora < 0.75 * full


def test_longer_documents_cost_more_in_full_layers_alone() -> None:
    at = [flops.flops_per_token(SCOUT, Adapter(), length) for length in (8192, 16384, 32768)]
    # 12 of 48 layers see twice as many keys, the others keep to chunks of 8192.
    per_key = 12 * 3 * 4 * 5120
    assert at[1] - at[0] == pytest.approx(per_key * 4096)
    assert at[2] - at[1] == pytest.approx(per_key * 8192)
