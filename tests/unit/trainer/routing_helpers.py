"""A model that routes, and a count of what it routed that owes nothing to the trainer's own."""

from __future__ import annotations

import torch
from transformers import Llama4ForCausalLM, Llama4TextConfig

from trainer.llama4.counting import routers

LAYERS = 2


def tiny_model(experts: int, top_k: int, recompute: bool) -> Llama4ForCausalLM:
    torch.manual_seed(experts * 10 + top_k)
    config = Llama4TextConfig(
        vocab_size=64, hidden_size=16, intermediate_size=16, intermediate_size_mlp=32,
        num_hidden_layers=LAYERS, num_attention_heads=2, num_key_value_heads=1, head_dim=8,
        num_local_experts=experts, num_experts_per_tok=top_k, attention_chunk_size=16,
        max_position_embeddings=64, use_cache=False,
    )  # fmt: skip
    model = Llama4ForCausalLM(config)
    if recompute:
        model.activation_checkpointing_enable({"use_reentrant": False})
    return model.train()


def recounted(model: Llama4ForCausalLM, tokens: torch.Tensor) -> list[list[int]]:
    """From the scores: the router gives a score to the experts that it chose, and no other."""
    tables: list[list[int]] = []

    def record(_router: object, _inputs: object, outputs: tuple[torch.Tensor, ...]) -> None:
        table = [0] * outputs[0].shape[1]
        for scores in outputs[0].tolist():
            for expert, score in enumerate(scores):
                table[expert] += score > 0
        tables.append(table)

    hooks = [router.register_forward_hook(record) for _, router in routers(model)]
    with torch.no_grad():
        model(input_ids=tokens)
    for hook in hooks:
        hook.remove()
    return tables
