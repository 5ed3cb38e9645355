"""DeepSpeed's configuration from ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trainer.contract.config import Config

SWAP = "swap"
"""Folder below the run directory for optimizer states on disk, unless engine.nvme_path is set."""


def deepspeed_config(config: Config, run_dir: Path, world: int, pin: bool) -> dict[str, Any]:
    """The dictionary for deepspeed.initialize. pin: whether offloaded memory is page-locked,
    which only a GPU profits from."""
    train = config.train
    return {
        "train_micro_batch_size_per_gpu": train.micro_batch,
        "gradient_accumulation_steps": train.grad_accum,
        "train_batch_size": train.micro_batch * train.grad_accum * world,
        "gradient_clipping": train.grad_clip,
        "bf16": {"enabled": config.model.dtype == "bfloat16"},
        "zero_optimization": _zero(config, run_dir, pin),
        # Our optimizer comes from outside (see docs/decisions/cpu-adam.md); without this
        # DeepSpeed refuses any but its own when the states are offloaded.
        "zero_force_ds_cpu_optimizer": False,
        "zero_allow_untested_optimizer": True,
        # Ranks' files differ, so the tag cannot: it is a constant of ours.
        "checkpoint": {"tag_validation": "Ignore"},
        "steps_per_print": 2**31,
        "wall_clock_breakdown": False,
    }


def _zero(config: Config, run_dir: Path, pin: bool) -> dict[str, Any]:
    engine = config.engine
    zero: dict[str, Any] = {
        "stage": engine.zero_stage,
        "overlap_comm": pin,
        "contiguous_gradients": True,
    }
    if engine.offload_optimizer != "none":
        zero["offload_optimizer"] = {"device": engine.offload_optimizer, "pin_memory": pin}
        if engine.offload_optimizer == "nvme":
            zero["offload_optimizer"] |= {"nvme_path": str(swap_folder(config, run_dir))}
    if engine.offload_params != "none":
        zero["offload_param"] = {"device": engine.offload_params, "pin_memory": pin}
    if engine.zero_stage == 3:
        # Small models still partition something, large ones keep DeepSpeed's own default.
        zero["stage3_param_persistence_threshold"] = 100 if config.model.tiny else 100_000
    return zero


def swap_folder(config: Config, run_dir: Path) -> Path:
    """Where states on disk lie while training."""
    if config.engine.nvme_path:
        return Path(config.engine.nvme_path).expanduser() / "l4cockpit" / run_dir.name
    return run_dir / SWAP
