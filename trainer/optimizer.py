"""The optimizer of a run, before an engine shards its states."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from trainer.contract.config import ConfigError, Optimizer


def make(parameters: list[nn.Parameter], settings: Optimizer) -> torch.optim.Optimizer:
    """AdamW for CPU and GPU alike: torch's fused kernel (docs/decisions/cpu-adam.md), or that of
    bitsandbytes with moments of 8 bits (docs/decisions/adamw-8bit.md). Vectors (norms) do not
    decay. Raises ConfigError where bitsandbytes is missing."""
    groups = _groups(parameters, settings.weight_decay)
    options: dict[str, Any] = {"betas": settings.betas, "eps": settings.eps}
    if settings.kind == "adamw":
        return torch.optim.AdamW(groups, fused=True, **options)
    try:
        from bitsandbytes.optim import AdamW8bit  # noqa: PLC0415 - seconds that few runs need
    except ImportError as error:
        raise ConfigError(f"optimizer.kind adamw8bit needs bitsandbytes: {error}") from None
    eight_bit: torch.optim.Optimizer = AdamW8bit(groups, **options)
    return eight_bit


def _groups(parameters: list[nn.Parameter], decay: float) -> list[dict[str, Any]]:
    """Parameter groups: those that decay, those that do not."""

    def is_matrix(parameter: nn.Parameter) -> bool:
        return len(getattr(parameter, "ds_shape", parameter.shape)) > 1

    if not decay:
        return [{"params": parameters, "weight_decay": 0.0}]
    matrices = [p for p in parameters if is_matrix(p)]
    vectors = [p for p in parameters if not is_matrix(p)]
    groups: list[dict[str, Any]] = [{"params": matrices, "weight_decay": decay}]
    return [*groups, {"params": vectors, "weight_decay": 0.0}] if vectors else groups
