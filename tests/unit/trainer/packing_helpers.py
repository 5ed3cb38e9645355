"""Documents packed into rows, and a tiny Llama 4 in which everything that can go wrong does."""

from __future__ import annotations

from typing import Any

import torch
from hypothesis import strategies as st
from transformers import Llama4ForCausalLM, Llama4TextConfig

CHUNK = 8
LENGTHS = st.lists(st.integers(1, 3 * CHUNK), min_size=1, max_size=5)
"""Of the documents in a row: from one token to several chunks."""
WORDS = 64


def positions_of(lengths: list[int]) -> torch.Tensor:
    """Of one row, [1, S]."""
    return torch.cat([torch.arange(length) for length in lengths])[None]


def stock_config(**more: Any) -> Llama4TextConfig:
    """Documents pass several chunks of 8, and the temperature rises every 3 tokens."""
    shape: dict[str, Any] = {
        "vocab_size": WORDS, "hidden_size": 32, "intermediate_size": 16,
        "intermediate_size_mlp": 32, "num_hidden_layers": 3, "num_attention_heads": 4,
        "num_key_value_heads": 2, "head_dim": 8, "num_local_experts": 2,
        "attention_chunk_size": CHUNK, "max_position_embeddings": 128, "no_rope_layer_interval": 2,
        "floor_scale": 3, "attn_scale": 0.7, "use_cache": False, "pad_token_id": 0,
    }  # fmt: skip
    return Llama4TextConfig(**(shape | more))


def stock_model(dtype: torch.dtype = torch.float64, **more: Any) -> Llama4ForCausalLM:
    """The same weights every time; Transformers' eager attention."""
    torch.manual_seed(5)
    config = stock_config(**more)
    config._attn_implementation = "eager"
    model = Llama4ForCausalLM(config).to(dtype)
    # Weights as large as trained ones: with those of a fresh model attention hardly matters.
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" not in name:
                parameter.mul_(8)
    return model
