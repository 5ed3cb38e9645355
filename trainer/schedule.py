"""The learning rate of a step: a function of the step alone, so that nothing has to be saved."""

from __future__ import annotations

import math

from trainer.contract.config import Train


def learning_rate(train: Train, step: int) -> float:
    """The rate for a step from 1: linear warm-up to train.lr over train.warmup steps, then down
    to train.min_lr × train.lr at the last step (cosine as in SGDR, arXiv 1608.03983, eq. 5,
    without restarts; or linear), or constant."""
    if step <= train.warmup:
        return train.lr * step / train.warmup
    if train.schedule == "constant":
        return train.lr
    done = (step - train.warmup) / max(1, train.steps - train.warmup)
    left = (1 + math.cos(math.pi * done)) / 2 if train.schedule == "cosine" else 1 - done
    return train.lr * (train.min_lr + (1 - train.min_lr) * left)
