"""Adapters as PEFT stores them: `PeftModel.from_pretrained` on Transformers' own model takes them
up and computes the same.

PEFT itself is asked for the names, on a model without memory: how it nests the adapters of two
weights of one module, and which of the two factors it calls A where a weight has a matrix per
expert, is its own affair. Shapes: E experts, I input and O output width, R rank.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora import LoraLayer
from peft.tuners.lora.layer import ParamWrapper
from safetensors.torch import save_file
from transformers import Llama4ForCausalLM, Llama4TextConfig

from trainer.contract.config import Adapter
from trainer.llama4.adapters import LINEAR
from trainer.llama4.lora import GroupedLowRank, LowRank

ADAPTER = "default"
WEIGHTS, SETTINGS = "adapter_model.safetensors", "adapter_config.json"


@dataclass(frozen=True)
class Slot:
    """Where PEFT keeps the adapter of a weight: the common start of its two keys, and whether A
    and B change places (it takes [E, I, O] for [E, O, I])."""

    key: str
    swapped: bool


def lora_config(settings: Adapter) -> LoraConfig:
    """PEFT's settings for ours. Dropout is left out: PEFT has none for experts, and it means
    nothing once training is over."""
    linear = [pattern.pattern for target, pattern in LINEAR.items() if target in settings.targets]
    parameters = []
    if "experts" in settings.targets:
        parameters += ["feed_forward.experts.gate_up_proj", "feed_forward.experts.down_proj"]
    if "router" in settings.targets:
        parameters += ["feed_forward.router.weight"]
    return LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,  # annotated int, any number works
        target_modules=rf".*\.({'|'.join(linear).replace('$', '')})" if linear else [],
        target_parameters=parameters or None,
        bias="none",
        task_type="CAUSAL_LM",
    )


def slots(text: Llama4TextConfig, settings: Adapter) -> dict[tuple[str, str], Slot]:
    """By module and weight, as `adapters.placed` names them."""
    with torch.device("meta"):
        stock = Llama4ForCausalLM(text)
    model = get_peft_model(stock, lora_config(settings), low_cpu_mem_usage=True)
    found = {}
    for name, module in model.named_modules():
        if isinstance(module, LoraLayer):
            wraps = isinstance(module, ParamWrapper)
            weight = module.parameter_name if wraps else "weight"
            inner = name.removeprefix("base_model.model.")
            while inner.endswith(".base_layer"):
                inner = inner.removesuffix(".base_layer")
            found[inner, weight] = Slot(name, wraps and module._did_swap_in_out_features)
    return found


def tensors(slot: Slot, adapter: LowRank | GroupedLowRank) -> Iterator[tuple[str, torch.Tensor]]:
    """PEFT's two tensors of an adapter, by key. A copy, on the CPU."""
    a, b = adapter.lora_A.detach().cpu(), adapter.lora_B.detach().cpu()
    if isinstance(adapter, GroupedLowRank):
        # PEFT: A [R·E, in], experts outside, and B [out, R·E], experts inside.
        first, second = (b, a.transpose(1, 2)) if slot.swapped else (a.transpose(1, 2), b)
        a = first.flatten(0, 1)
        b = second.permute(2, 1, 0).flatten(1)
    yield f"{slot.key}.lora_A.weight", a.clone(memory_format=torch.contiguous_format)
    yield f"{slot.key}.lora_B.weight", b.clone(memory_format=torch.contiguous_format)


def save(folder: Path, settings: Adapter, state: dict[str, torch.Tensor]) -> None:
    """Write a folder that `PeftModel.from_pretrained` reads; raises OSError."""
    folder.mkdir(exist_ok=True)
    config = lora_config(settings)
    config.inference_mode = True
    config.save_pretrained(str(folder))
    save_file(state, folder / WEIGHTS, metadata={"format": "pt"})
