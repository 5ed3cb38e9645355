"""The DeepSpeed engine: ZeRO 0–3, with CPU and disk offload."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import deepspeed
import torch
from deepspeed.runtime.checkpoint_engine.torch_checkpoint_engine import TorchCheckpointEngine
from torch import nn
from transformers.integrations import HfDeepSpeedConfig
from transformers.models.llama4.modeling_llama4 import Llama4TextMoe

from trainer import optimizer
from trainer.contract import layout
from trainer.contract.config import Config
from trainer.engines import swapped, traffic
from trainer.engines.deepspeed_config import deepspeed_config, swap_folder
from trainer.engines.protocol import Offloaded
from trainer.llama4.attention import model_inputs
from trainer.llama4.moe import SparseMoe
from trainer.place import Place

TAG = layout.ENGINE_STATE
PATIENCE = timedelta(hours=2)
"""How long a collective may take before the ranks give up: longer than the slowest checkpoint."""


def join(device: torch.device) -> None:
    """Meet the other ranks."""
    backend = "nccl" if device.type == "cuda" else "gloo"
    deepspeed.init_distributed(dist_backend=backend, timeout=PATIENCE, verbose=False)


class DeepSpeedEngine:
    """See `Engine`. `make_model` is called once DeepSpeed is ready to partition what it loads."""

    def __init__(
        self,
        config: Config,
        place: Place,
        device: torch.device,
        run_dir: Path,
        make_model: Callable[[], nn.Module],
    ) -> None:
        self.device = device
        self._config = config
        pin = device.type == "cuda"
        settings = deepspeed_config(config, run_dir, place.world, pin)
        if config.engine.offload_optimizer == "nvme":
            swap_folder(config, run_dir).mkdir(parents=True, exist_ok=True, mode=0o700)
        # from_pretrained partitions as it loads while such a configuration is alive.
        partitioned = config.engine.zero_stage == 3 and config.model.path
        self._alive = HfDeepSpeedConfig(settings) if partitioned else None
        self.module = make_model()
        if config.engine.zero_stage == 3:
            # Ranks whose tokens miss an expert must still take part in gathering its weights.
            kinds = {type(m) for m in self.module.modules()} & {SparseMoe, Llama4TextMoe}
            deepspeed.utils.set_z3_leaf_modules(self.module, list(kinds))
        trainable = [p for p in self.module.parameters() if p.requires_grad]
        self._engine: Any = deepspeed.initialize(
            model=self.module,
            optimizer=optimizer.make(trainable, config.optimizer),
            config=settings,
            dist_init_required=False,
        )[0]
        self._traffic: traffic.Traffic | None = None
        if config.engine.offload_optimizer == "nvme":
            swapped.keep_misaligned_gradients(self._engine)
            self._traffic = traffic.measure(self._engine)
        self._files = _GuardedFiles()
        self._engine.checkpoint_engine = self._files
        self._engine._copy_recovery_script = self._files.guard(self._engine._copy_recovery_script)

    def forward(
        self, tokens: torch.Tensor, labels: torch.Tensor, predicted: int, positions: torch.Tensor
    ) -> torch.Tensor:
        """See `Engine`."""
        count = torch.tensor(predicted, device=self.device)
        outputs = self._engine(
            input_ids=tokens,
            labels=labels,
            num_items_in_batch=count,
            **model_inputs(self.module, positions, self.device),
        )
        return outputs.loss  # type: ignore[no-any-return]

    def backward(self, loss: torch.Tensor, last: bool) -> None:
        """See `Engine`."""
        self._engine.set_gradient_accumulation_boundary(last)
        # DeepSpeed takes the mean over ranks and passes; we want the sum.
        self._engine.backward(loss * (self._engine.world_size * self._config.train.grad_accum))

    def step(self, lr: float) -> float | None:
        """See `Engine`."""
        for group in self._engine.optimizer.param_groups:
            group["lr"] = lr
        self._engine.step()
        norm = self._engine.get_global_grad_norm()
        return None if norm is None else float(norm)

    def save(self, folder: Path) -> None:
        """See `Engine`. DeepSpeed's own format, below the folder `engine`."""
        self._files.error = None
        in_nvme = self._engine.zero_nvme_offload_optimizer
        # DeepSpeed would copy the swap files itself, but leave the other ranks waiting for ever
        # when that fails on one.
        self._engine.zero_nvme_offload_optimizer = lambda: False
        try:
            self._engine.save_checkpoint(
                str(folder), tag=TAG, save_latest=False, exclude_frozen_parameters=self._frozen
            )
        finally:
            self._engine.zero_nvme_offload_optimizer = in_nvme
        if in_nvme():
            self._files.guard(swapped.save)(self._engine, folder / TAG)
        if self._frozen:
            from trainer.engines import adapter_files  # noqa: PLC0415 - PEFT: seconds to import

            adapter = self._config.adapter
            rank = self._engine.global_rank
            adapter_files.save(self.module, adapter, folder, rank, self._files.guard)
        if self._files.error:
            raise self._files.error

    def load(self, folder: Path) -> None:
        """See `Engine`."""
        self._engine.load_checkpoint(str(folder), tag=TAG, load_module_strict=not self._frozen)
        if self._engine.zero_nvme_offload_optimizer():
            swapped.restore(self._engine, folder / TAG)

    def offloaded(self) -> Offloaded:
        """See `Engine`."""
        engine, pinned = self._config.engine, 0
        if self.device.type == "cuda":
            pinned = torch.cuda.host_memory_stats().get("allocated_bytes.current", 0)
        cpu = 0
        if engine.offload_params == "cpu":
            cpu += sum(_shard_bytes(parameter) for parameter in self.module.parameters())
        if engine.offload_optimizer == "cpu":
            cpu += _optimizer_bytes(self._engine.optimizer)
        if self._traffic is None:
            return Offloaded(pinned=pinned, cpu=cpu, nvme=0)
        nvme, free = swapped.size(self._engine), swapped.free(self._engine)
        read, written = self._traffic.read, self._traffic.written
        return Offloaded(pinned=pinned, cpu=cpu, nvme=nvme, read=read, written=written, free=free)

    def waited(self) -> float:
        """See `Engine`."""
        return self._traffic.waited if self._traffic else 0.0

    @property
    def _frozen(self) -> bool:
        return self._config.adapter.kind != "none"


def _shard_bytes(parameter: nn.Parameter) -> int:
    shard = getattr(parameter, "ds_tensor", parameter)
    return int(shard.numel() * shard.element_size())


def _optimizer_bytes(optimizer: Any) -> int:
    """Of the float32 weights, their gradients and the moments."""
    total = 0
    for weight, state in optimizer.optimizer.state.items():
        held = [weight, weight.grad, *state.values()]
        total += sum(t.numel() * t.element_size() for t in held if torch.is_tensor(t))
    return int(total)


class _GuardedFiles(TorchCheckpointEngine):  # type: ignore[misc]
    """Writes DeepSpeed's files; an error (a full disk) is kept for after the barriers, where it
    would otherwise leave the other ranks waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.error: Exception | None = None

    def save(self, state_dict: object, path: str) -> None:
        """Write one file."""
        self.guard(torch.save)(state_dict, path)

    def guard(self, write: Callable[..., object]) -> Callable[..., None]:
        """The function, with its exception kept instead of raised."""

        def guarded(*arguments: object, **options: object) -> None:
            try:
                write(*arguments, **options)
            except Exception as error:  # raised again by `save`
                self.error = self.error or error

        return guarded
