"""Low-rank adapters by PEFT: attention projections and the shared expert."""

from __future__ import annotations

import torch
from peft import LoraConfig, get_peft_model
from transformers import PreTrainedModel

from trainer.contract.config import Adapter

MODULES = {
    "attention": r"self_attn\.(q|k|v|o)_proj",
    "shared": r"feed_forward\.shared_expert\.(gate|up|down)_proj",
}


def add(model: PreTrainedModel, adapter: Adapter, seed: int) -> torch.nn.Module:
    """The model with its weights frozen and adapters in their place, drawn from the seed. Adapter
    weights have the model's dtype; the optimizer keeps them in float32."""
    torch.manual_seed(seed + 1)
    targets = "|".join(MODULES[target] for target in adapter.targets)
    lora = LoraConfig(
        r=adapter.rank,
        lora_alpha=adapter.alpha,  # annotated int, any number works
        lora_dropout=adapter.dropout,
        target_modules=rf".*\.({targets})",
        bias="none",
        task_type="CAUSAL_LM",
    )
    adapted: torch.nn.Module = get_peft_model(model, lora, autocast_adapter_dtype=False)
    return adapted
