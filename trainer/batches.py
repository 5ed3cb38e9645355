"""The batches of a rank as tensors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from trainer.contract.config import Config
from trainer.data import packed, sampler
from trainer.data.packed import PackedData


@dataclass(frozen=True)
class Batch:
    """One forward pass: tokens and labels [B, S] on the device, labels being -100 where no loss
    is taken; positions [B, S] on the CPU, of each token in its document; predicted counts the
    step's predicted tokens on all ranks; last marks the step's last pass."""

    tokens: torch.Tensor
    labels: torch.Tensor
    positions: torch.Tensor
    predicted: int
    last: bool


class Batches:
    """Batches by step number."""

    def __init__(
        self, config: Config, data: PackedData, rank: int, world: int, device: torch.device
    ) -> None:
        self._train, self._data = config.train, data
        self._rank, self._world, self._device = rank, world, device
        self.sequences_per_step = world * config.train.micro_batch * config.train.grad_accum
        self.tokens_per_step = self.sequences_per_step * config.data.seq_len

    def of(self, step: int) -> Iterator[Batch]:
        """This rank's batches of a step, from 1."""
        all_B = sampler.batch(len(self._data), self._train.seed, step, self.sequences_per_step)
        # Every rank knows every rank's sequences, so the global count costs no communication.
        predicted = max(1, int(self._data.predicted_S[all_B].sum()))
        mine = sampler.share(all_B, self._rank, self._world, self._train.micro_batch)
        for number, indices in enumerate(mine, 1):
            tokens = torch.from_numpy(self._data.tokens_SL[indices].astype(np.int64))
            mask = torch.from_numpy(self._data.loss_SL[indices])
            labels = torch.where(mask, tokens, -100)
            yield Batch(
                tokens=tokens.to(self._device),
                labels=labels.to(self._device),
                positions=torch.from_numpy(packed.positions(self._data.starts_SL[indices])),
                predicted=predicted,
                last=number == len(mine),
            )
