"""Which sequences a step trains on: a function of the seed and the step, so that the position in
the data is the step number and nothing else has to be saved."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt


@lru_cache(maxsize=2)
def _order(sequences: int, seed: int, epoch: int) -> npt.NDArray[np.int64]:
    return np.random.default_rng([seed, epoch]).permutation(sequences)


def batch(sequences: int, seed: int, step: int, size: int) -> npt.NDArray[np.int64]:
    """Indices of the `size` sequences of a step (from 1), of all ranks. Every sequence comes once
    per epoch, in an order drawn anew for each; an epoch may end in the middle of a batch."""
    first = (step - 1) * size
    positions = np.arange(first, first + size)
    epochs, offsets = np.divmod(positions, sequences)
    return np.array(
        [_order(sequences, seed, int(e))[o] for e, o in zip(epochs, offsets, strict=True)],
        dtype=np.int64,
    )


def share(
    batch_B: npt.NDArray[np.int64], rank: int, world: int, micro_batch: int
) -> npt.NDArray[np.int64]:
    """One rank's part of a batch, [grad_accum, micro_batch]."""
    return batch_B.reshape(-1, world, micro_batch)[:, rank]
