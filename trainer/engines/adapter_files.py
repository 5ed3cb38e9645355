"""A checkpoint's adapters once more in PEFT's format, for whoever loads them elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import deepspeed
import torch
from torch import nn
from transformers import Llama4TextConfig

from trainer.contract.config import Adapter
from trainer.llama4 import peft_format
from trainer.llama4.adapters import placed

FOLDER = "adapter"


def save(
    module: nn.Module,
    settings: Adapter,
    folder: Path,
    rank: int,
    guard: Callable[[Callable[..., Any]], Callable[..., None]],
) -> None:
    """Rank 0 writes folder/adapter, which `PeftModel.from_pretrained` reads. All ranks call this,
    for weights may be partitioned; they are gathered one adapter at a time. guard keeps an error
    of writing for later."""
    state: dict[str, torch.Tensor] = {}
    text = cast(Llama4TextConfig, module.config)
    slots = peft_format.slots(text, settings) if rank == 0 else {}
    for place in placed(module):
        with deepspeed.zero.GatheredParameters(list(place.adapter.parameters())):
            if rank == 0:
                slot = slots[place.module, place.weight]
                state |= dict(peft_format.tensors(slot, place.adapter))
    if rank == 0:
        guard(peft_format.save)(folder / FOLDER, settings, state)
