"""The figures of steps as columns: arrays by name, in the order of the journal.

Shapes: [N] steps. A figure that the trainer could not tell is NaN.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from trainer.contract.messages import Step

Array: TypeAlias = npt.NDArray[Any]

PARTS = ("data", "forward", "backward", "optimizer", "communication", "offload", "checkpoint")
"""What the seconds of a step are divided into: `Step.split`."""
STORED: Mapping[str, str] = {
    "step": "<i8", "time": "<f8", "tokens": "<i8", "loss": "<f4", "lr": "<f4",
    "grad_norm": "<f4", "seconds": "<f4", **{f"split.{part}": "<f4" for part in PARTS},
}  # fmt: skip
"""What is kept of every step, and as which type. time is Unix time at the end of the step."""


class Rows(Protocol):
    """Some steps in the order of the journal, abandoned attempts included."""

    def __len__(self) -> int: ...

    def column(self, name: str) -> Array:
        """One figure of all of them [N]; a name of STORED."""
        ...


def figure(rows: Rows, name: str, first: int, last: int) -> Array:
    """The figures with indices first ≤ i < last: of a column, or derived from several."""
    if name == "tokens_per_second":
        tokens = rows.column("tokens")[first:last]
        seconds = rows.column("seconds")[first:last].astype(np.float64)
        speed = np.full(len(tokens), np.nan, np.float32)
        np.divide(tokens, seconds, out=speed, where=seconds > 0, casting="same_kind")
        return speed
    return rows.column(name)[first:last]


def of_steps(steps: Sequence[Step]) -> dict[str, Array]:
    """All columns of some steps."""
    found: dict[str, Array] = {
        name: np.array([getattr(step, name) for step in steps], np.dtype(kind))
        for name, kind in STORED.items()
        if not name.startswith("split.")
    }
    splits = [step.split for step in steps]
    for part in PARTS:
        found[f"split.{part}"] = np.array([split.get(part) for split in splits], "<f4")
    for column in found.values():
        if column.dtype.kind == "f":
            column[~np.isfinite(column)] = np.nan
    return found


class Column:
    """An array that grows at its end in amortised constant time, and can be cut."""

    def __init__(self, dtype: npt.DTypeLike = np.float64) -> None:
        self._values: Array = np.empty(256, dtype)
        self._size = 0

    def __len__(self) -> int:
        return self._size

    @property
    def values(self) -> Array:
        """A view of what is there [N]; good until the next change."""
        return self._values[: self._size]

    def reserve(self, size: int) -> None:
        """Have room for so many values in all, and for a few more."""
        if size > len(self._values):
            grown = np.empty(size + size // 8 + 256, self._values.dtype)
            grown[: self._size] = self.values
            self._values = grown

    def extend(self, more: npt.ArrayLike) -> None:
        """Put values behind the last."""
        added = np.asarray(more)
        size = self._size + len(added)
        self.reserve(size)
        self._values[self._size : size] = added
        self._size = size

    def cut(self, size: int) -> None:
        """Forget all values from index size on."""
        self._size = min(self._size, size)


class Table:
    """Steps that came one by one or in batches: Rows that grow."""

    def __init__(self) -> None:
        self._columns = {name: Column(kind) for name, kind in STORED.items()}

    def __len__(self) -> int:
        return len(self._columns["step"])

    def column(self, name: str) -> Array:
        """See Rows."""
        return self._columns[name].values

    def extend(self, steps: Sequence[Step]) -> None:
        """Put steps behind the last."""
        for name, values in of_steps(steps).items():
            self._columns[name].extend(values)
