"""Optimizer states that DeepSpeed keeps on disk: saved with a checkpoint, and taken up again.

DeepSpeed 0.19 copies the swap files back when it loads a checkpoint but forgets what they are:
the optimizer's state is empty then, so the next update starts Adam over with zero moments and
step 1 (docs/decisions/nvme-offload.md). Here each subgroup's part that is not in the files,
Adam's step and whatever was too small to be swapped, is saved beside them, and after a load the
files are registered again as what they are.

It also loses gradients: it reads them back with O_DIRECT to addresses that follow from the sizes
of the parameters before, and a read to an address that is no multiple of 512 bytes fails without
a word. `keep_misaligned_gradients` leaves those in memory.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
from deepspeed.checkpoint.ds_to_universal import dp_index_to_str
from deepspeed.runtime.swap_tensor.optimizer_utils import OptimizerStateSwapInfo

ALIGNMENT = 512
"""Bytes; what O_DIRECT asks of an address."""


def keep_misaligned_gradients(engine: Any) -> None:
    """Keep in memory the gradients that DeepSpeed could not read back from disk."""
    swapper = engine.optimizer.optimizer_swapper
    swap_out = swapper.swap_out_gradients

    def swap_out_aligned(
        parameter: torch.Tensor, gradient_offsets: list[int], gradient_tensors: list[torch.Tensor]
    ) -> None:
        aligned = []
        for offset, gradient in zip(gradient_offsets, gradient_tensors, strict=True):
            if offset * gradient.element_size() % ALIGNMENT:
                info = swapper.swap_params_info[swapper.parameter_id(parameter)]
                info.unswapped_gradients[offset] = gradient
            else:
                aligned.append((offset, gradient))
        swap_out(
            parameter=parameter,
            gradient_offsets=[offset for offset, _ in aligned],
            gradient_tensors=[gradient for _, gradient in aligned],
        )

    swapper.swap_out_gradients = swap_out_aligned


def save(engine: Any, folder: Path) -> None:
    """Copy this rank's swap files and the rest of its optimizer state below a checkpoint."""
    swapper = engine.optimizer.optimizer_swapper
    rank = engine.global_rank
    # The place and the names are DeepSpeed's, whose load copies the files back.
    target = folder / "offloaded_tensors" / f"rank{dp_index_to_str(rank)}"
    shutil.copytree(
        swapper.swap_folder, target, ignore=shutil.ignore_patterns("*gradient*"), dirs_exist_ok=True
    )
    torch.save([_unswapped(engine, i) for i in range(_groups(engine))], _rest(folder, rank))


def restore(engine: Any, folder: Path) -> None:
    """Make the loaded swap files this rank's optimizer state."""
    optimizer, swapper = engine.optimizer, engine.optimizer.optimizer_swapper
    saved = torch.load(_rest(folder, engine.global_rank), map_location="cpu", weights_only=True)
    for index, rest in enumerate(saved):
        master = optimizer.fp32_partitioned_groups_flat[index]
        state = optimizer.optimizer.state[master]
        state.clear()
        if "weight" in rest:
            master.data.copy_(rest["weight"])
        state |= rest["state"]
        if not rest["swapped"]:
            continue
        for name in rest["swapped"]:
            state[name] = torch.empty(master_size(optimizer, index), dtype=torch.float32)
        # Registers the tensors under the names that the files have, and drops their memory.
        info: OptimizerStateSwapInfo = swapper._get_param_swap_info(master)
        info.release_memory()


def size(engine: Any) -> int:
    """Bytes of this rank's swap files."""
    folder = Path(engine.optimizer.optimizer_swapper.swap_folder)
    return sum(file.stat().st_size for file in folder.iterdir())


def free(engine: Any) -> int:
    """Bytes that the file system of the swap files still takes."""
    return shutil.disk_usage(engine.optimizer.optimizer_swapper.swap_folder).free


def master_size(optimizer: Any, index: int) -> int:
    """Elements of a subgroup's float32 weights on this rank."""
    return int(optimizer.fp16_partitioned_groups_flat_numel[index])


def _unswapped(engine: Any, index: int) -> dict[str, Any]:
    """A subgroup's state that no swap file holds, and the names of what one does."""
    optimizer = engine.optimizer
    master = optimizer.fp32_partitioned_groups_flat[index]
    on_disk = optimizer._swappable_optimizer_subgroup(index)
    state = optimizer.optimizer.state.get(master, {})
    swapped = [name for name, value in state.items() if hasattr(value, "ds_id")] if on_disk else []
    kept = {name: value for name, value in state.items() if name not in swapped}
    rest: dict[str, Any] = {"swapped": swapped, "state": kept}
    return rest if on_disk else rest | {"weight": master.data}


def _groups(engine: Any) -> int:
    return len(engine.optimizer.fp32_partitioned_groups_flat)


def _rest(folder: Path, rank: int) -> Path:
    return folder / f"unswapped_rank_{rank:05d}.pt"
