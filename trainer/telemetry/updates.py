"""How far each expert's trainable weights move: are the experts learning?

Of each matrix of each expert a fixed sample is kept, and compared with what it is some steps
later: a full copy would be as large as what it watches. An adapter's B starts at zero and leaves it
with the first gradient, whatever its A does by weight decay alone: while B is zero nothing was
learnt. Shapes: L layers with experts, E experts.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from transformers.models.llama4.modeling_llama4 import Llama4TextExperts

from trainer.contract.messages import Failure, Message, Updates
from trainer.llama4.layers import layer_of
from trainer.llama4.moe import SparseExperts

SAMPLES = 1024
"""Weights looked at per expert and matrix, evenly spaced."""


class UpdateWatch:
    """On every rank: squared changes of what this rank holds, to be summed over the ranks. A
    weight that is a replica counts on rank 0."""

    def __init__(self, model: nn.Module, rank: int) -> None:
        found = [
            (layer_of(name), module)
            for name, module in model.named_modules()
            if isinstance(module, SparseExperts | Llama4TextExperts)
        ]
        found.sort(key=lambda item: item[0])
        self.layers = [layer for layer, _ in found]
        self.experts = found[0][1].num_experts if found else 0
        self.adapted = any(getattr(m, "gate_up_adapter", None) is not None for _, m in found)
        self._samples = [
            _Sample(parameter, self.experts, row, rank, adds=name.endswith("lora_B"))
            for row, (_, module) in enumerate(found)
            for name, parameter in module.named_parameters()
            if parameter.requires_grad
        ]
        self.trained_L = [any(p.requires_grad for p in module.parameters()) for _, module in found]

    @property
    def anything(self) -> bool:
        """Whether any expert is trained."""
        return any(self.trained_L)

    @torch.no_grad()
    def squares(self, device: torch.device) -> torch.Tensor:
        """[L, 2E], float64, this rank's part: each expert's squared change since the last call,
        then the square of what its adapters' B are."""
        rows, experts = len(self.layers), self.experts
        changes_X, sizes_X = torch.zeros(2, rows * experts, dtype=torch.float64, device=device)
        for sample in self._samples:
            slots, changes, sizes = (part.to(device) for part in sample.squares())
            changes_X.index_add_(0, slots, changes)
            if sample.adds:
                sizes_X.index_add_(0, slots, sizes)
        return torch.cat([changes_X.view(rows, experts), sizes_X.view(rows, experts)], dim=1)


class _Sample:
    """Some weights of a stack [E, …], or of the part of it that ZeRO-3 left on this rank."""

    def __init__(
        self, parameter: nn.Parameter, experts: int, row: int, rank: int, adds: bool
    ) -> None:
        self._parameter, self.adds = parameter, adds
        partitioned = hasattr(parameter, "ds_tensor")
        each = int(getattr(parameter, "ds_numel", parameter.numel())) // experts
        local = self._held().numel()
        first = rank * local if partitioned else 0
        looked_at = torch.arange(0, each, max(1, each // SAMPLES))
        places = (torch.arange(experts)[:, None] * each + looked_at).flatten() - first
        here = (places >= 0) & (places < local) & (partitioned or rank == 0)
        device = self._held().device
        self._places = places[here].to(device)
        expert = torch.arange(experts).repeat_interleave(len(looked_at))[here]
        self._slots = (row * experts + expert).to(device)
        self._weight = each / len(looked_at)
        self._before = self._held()[self._places].clone()

    def squares(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Of each weight looked at its expert, as row · E + e, its squared change and its square;
        each stands for as many as there are between two."""
        now, before = self._held()[self._places], self._before
        self._before = now
        wide = now.double()
        changes = (wide - before.double()).square() * self._weight
        return self._slots, changes, wide.square() * self._weight

    def _held(self) -> torch.Tensor:
        held: torch.Tensor = getattr(self._parameter, "ds_tensor", self._parameter)
        return held.detach().flatten()


@dataclass
class Movement:
    """The tokens that each expert got over `steps` steps that end with `step`, on all ranks, and
    once it was measured, how far it moved in them, squared, and what its adapters' B are, squared.
    learning: whether the learning rate ever was above zero."""

    step: int
    steps: int
    learning: bool
    counts_LE: torch.Tensor
    squares_LE: torch.Tensor | None = None
    sizes_LE: torch.Tensor | None = None


class UpdateReport:
    """On rank 0: what is told of movements. A failure is told once for an adapted expert that got
    tokens for `patience` steps (0: never) and whose adapters stayed at exactly zero."""

    def __init__(self, watch: UpdateWatch, patience: int) -> None:
        self._watch, self._patience = watch, patience
        shape = (len(watch.layers), watch.experts)
        self._zero_LE = torch.zeros(shape, dtype=torch.int64)
        self._told_LE = torch.zeros(shape, dtype=torch.bool)

    def messages(self, movement: Movement) -> list[Message]:
        """An Updates message of what was measured, and a Failure if one is due."""
        assert movement.squares_LE is not None
        assert movement.sizes_LE is not None
        norms_LE = movement.squares_LE.cpu().sqrt()
        counts_LE = movement.counts_LE.cpu().long()
        rows = zip(self._watch.trained_L, norms_LE.tolist(), strict=True)
        updates = Updates(
            step=movement.step,
            steps=movement.steps,
            layers=self._watch.layers,
            norms=[[_rounded(n) if trained else None for n in row] for trained, row in rows],
            tokens=counts_LE.tolist(),
        )
        if not movement.learning:
            return [updates]
        zero_LE = movement.sizes_LE.cpu() == 0
        self._zero_LE += (zero_LE & (counts_LE > 0)) * movement.steps
        self._zero_LE[~zero_LE] = 0
        return [updates, *self._failures(movement.step)]

    def _failures(self, step: int) -> list[Message]:
        if not self._patience or not self._watch.adapted:
            return []
        found_LE = (self._zero_LE >= self._patience) & ~self._told_LE
        if not found_LE.any():
            return []
        self._told_LE |= found_LE
        places = [(self._watch.layers[row], expert) for row, expert in found_LE.nonzero().tolist()]
        named = ", ".join(f"layer {layer} expert {expert}" for layer, expert in places[:8])
        more = f" and {len(places) - 8} more" if len(places) > 8 else ""
        text = (
            f"{len(places)} adapted experts got tokens, and up to step {step} their adapters are "
            f"exactly zero: {named}{more}"
        )
        return [Failure(kind="untrained-experts", rank=None, text=text, advice=_ADVICE)]


_ADVICE = (
    "The run goes on. Look whether gradients reach them (gradient norm, adapter.targets) and "
    "whether the learning rate is too small for model.dtype; adapter.untrained_after sets when "
    "this is told."
)


def _rounded(norm: float) -> float:
    """To four digits: what a screen can show, in fewer bytes."""
    return float(f"{norm:.4g}")
