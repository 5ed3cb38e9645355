"""What the loop asks of an engine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch


@dataclass(frozen=True)
class Offloaded:
    """Bytes of this rank's training state that lie off the device. read and written have gone
    between disk and memory since the start; free is what the disk still takes, None without one."""

    pinned: int
    cpu: int
    nvme: int
    read: int = 0
    written: int = 0
    free: int | None = None


class Engine(Protocol):
    """A model with its optimizer, distributed over the ranks. Every method but `offloaded` and
    `waited` must be called by all ranks in the same order."""

    module: torch.nn.Module
    device: torch.device

    def forward(
        self, tokens: torch.Tensor, labels: torch.Tensor, predicted: int, positions: torch.Tensor
    ) -> torch.Tensor:
        """The sum of the losses over the predicted tokens of tokens [B, S], divided by
        `predicted`. labels are the tokens, -100 where no loss is taken; positions, on the CPU,
        are those of the tokens in their documents, which do not see each other."""

    def backward(self, loss: torch.Tensor, last: bool) -> None:
        """Accumulate gradients; last tells the step's last forward pass. The gradients are those
        of the sum over ranks and passes."""

    def step(self, lr: float) -> float | None:
        """Update the weights. Returns the global gradient norm before clipping, if known."""

    def save(self, folder: Path) -> None:
        """Write this rank's part of weights and optimizer state below a folder that exists. A
        failure to write on one rank is raised there once no other rank waits for it."""

    def load(self, folder: Path) -> None:
        """Take up what `save` wrote, so that the next step is bit-identical (on CPU)."""

    def offloaded(self) -> Offloaded:
        """Where state lies that is not on the device."""

    def waited(self) -> float:
        """Seconds since the start that this rank stood still for state on disk."""
