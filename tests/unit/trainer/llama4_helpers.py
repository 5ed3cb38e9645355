"""Small Llama 4 modules with drawn weights, and how far two tensors are apart."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import Llama4ForCausalLM, Llama4TextConfig
from transformers.models.llama4.modeling_llama4 import Llama4Router, Llama4TextMoe

from trainer.llama4.moe import SparseMoe


def config(experts: int = 4, top_k: int = 1, **changes: Any) -> Llama4TextConfig:
    settings: dict[str, Any] = {
        "vocab_size": 96, "hidden_size": 32, "intermediate_size": 24, "intermediate_size_mlp": 40,
        "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8,
        "num_local_experts": experts, "num_experts_per_tok": top_k, "attention_chunk_size": 16,
        "max_position_embeddings": 64, "use_cache": False, "pad_token_id": None,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
    }  # fmt: skip
    return Llama4TextConfig(**settings | changes)


class ExactRouter(Llama4Router):
    """Transformers' router without its rounding of the scores to float32, so that the rest can
    be compared in float64."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logits = torch.nn.functional.linear(x, self.weight)
        best, experts = torch.topk(logits, self.top_k, dim=1)
        return torch.zeros_like(logits).scatter(1, experts, best.sigmoid()), logits


def exact(model: nn.Module) -> nn.Module:
    """The model with exact routers."""
    for module in model.modules():
        if type(module) is Llama4Router:
            module.__class__ = ExactRouter
    return model


def moe_pair(
    experts: int, top_k: int, dtype: torch.dtype, hidden: int = 32, intermediate: int = 24
) -> tuple[Llama4TextMoe, SparseMoe]:
    """Transformers' block and ours with the same drawn weights. The router's rows are orthonormal,
    so that `tokens_for` can choose who gets a token."""
    text = config(experts, top_k, hidden_size=hidden, intermediate_size=intermediate)
    pair = []
    for _ in range(2):
        torch.manual_seed(0)
        block = Llama4TextMoe(text).to(torch.float64)
        for parameter in block.parameters():
            nn.init.normal_(parameter, std=0.2)
        rows = torch.linalg.qr(torch.randn(hidden, hidden, dtype=torch.float64))[0][:experts]
        block.router.weight.data.copy_(rows)
        pair.append(block.to(dtype))
    if dtype == torch.float64:
        exact(pair[0])
    return pair[0], SparseMoe(pair[1])


def tokens_for(block: nn.Module, choices: list[int], dtype: torch.dtype) -> torch.Tensor:
    """Drawn tokens [T, H], of which each would choose the expert that is named for it first."""
    rows: torch.Tensor = block.router.weight.detach().double()
    noise = torch.randn(len(choices), rows.shape[1], dtype=torch.float64) / rows.shape[1] ** 0.5
    return (noise + 3 * rows[choices]).to(dtype)


def causal_lm(text: Llama4TextConfig, dtype: torch.dtype = torch.float64) -> Llama4ForCausalLM:
    """The stock model with weights large enough that every part matters; with exact routers in
    float64."""
    torch.manual_seed(1)
    text._attn_implementation = "eager"
    model = Llama4ForCausalLM(text).to(dtype)
    for name, parameter in model.named_parameters():
        if "norm" not in name:
            nn.init.normal_(parameter, std=0.1)
    if dtype == torch.float64:
        exact(model)
    return model


def distance(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Largest difference, relative to the largest expected value."""
    found, expected = found.detach().double(), expected.detach().double()
    largest = float(expected.abs().max())
    return float((found - expected).abs().max()) / (largest or 1.0)


def gradients(module: nn.Module) -> dict[str, torch.Tensor]:
    return {
        name: torch.zeros_like(p) if p.grad is None else p.grad
        for name, p in module.named_parameters()
        if p.requires_grad
    }
