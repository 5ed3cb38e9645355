"""The numbers of a run over its steps: columns that grow and rewind.

Shapes: N points so far. Steps always rise. A value that is not a finite number is kept as NaN: it
is a gap in a line, and counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from trainer.contract.messages import Step

Floats: TypeAlias = npt.NDArray[np.float64]
Whole: TypeAlias = npt.NDArray[np.int64]

PARTS = ("data", "forward", "backward", "optimizer", "communication", "offload", "checkpoint")
"""What the seconds of a step are divided into: `Step.split`."""
METRICS = (
    "loss", "lr", "grad_norm", "seconds", "tokens_per_second", *(f"split.{part}" for part in PARTS)
)  # fmt: skip
"""What a series holds besides step, time (Unix time at the end of the step) and tokens (of the
step, not up to it)."""


class Column:
    """An array that grows at its end in amortised constant time, and can be cut."""

    def __init__(self, dtype: type[np.generic] = np.float64) -> None:
        self._values: npt.NDArray[Any] = np.empty(256, dtype)
        self._size = 0

    def __len__(self) -> int:
        return self._size

    @property
    def values(self) -> npt.NDArray[Any]:
        """A view of what is there [N]; good until the next change."""
        return self._values[: self._size]

    def extend(self, more: npt.ArrayLike) -> None:
        """Put values behind the last."""
        added = np.asarray(more)
        size = self._size + len(added)
        if size > len(self._values):
            grown = np.empty(max(size, len(self._values) * 3 // 2), self._values.dtype)
            grown[: self._size] = self.values
            self._values = grown
        self._values[self._size : size] = added
        self._size = size

    def cut(self, size: int) -> None:
        """Forget all values from index size on."""
        self._size = min(self._size, size)


class Series:
    """Every step of a run, once: what an abandoned attempt did after the checkpoint that a later
    attempt went on from is forgotten."""

    def __init__(self) -> None:
        self._columns = {name: Column(np.float32) for name in METRICS}
        self._columns |= {"step": Column(np.int64), "time": Column(), "tokens": Column(np.int64)}
        self._cuts: list[int] = []
        self.restarts: list[int] = []
        """The steps after which a later attempt went on."""

    def __len__(self) -> int:
        return len(self._columns["step"])

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        return self._columns[name].values

    @property
    def epoch(self) -> int:
        """How often points were cut off; with it, intact() tells what a reader must redo."""
        return len(self._cuts)

    def intact(self, epoch: int, size: int) -> int:
        """How many of the size first points that were there at an epoch are still the same."""
        return min([size, len(self), *self._cuts[epoch:]])

    def gaps(self, name: str) -> int:
        """How many values of a metric are not finite numbers."""
        return int(np.count_nonzero(np.isnan(self[name])))

    def extend(self, steps: Sequence[Step]) -> None:
        """Append steps in the order of the journal; one that was there already takes the place
        of the earlier and of all that followed it."""
        if not steps:
            return
        number = np.array([step.step for step in steps], np.int64)
        breaks = (np.flatnonzero(np.diff(number) <= 0) + 1).tolist()
        for first, last in zip([0, *breaks], [*breaks, len(steps)], strict=True):
            self._append(number[first:last], steps[first:last])

    def rewind(self, step: int) -> None:
        """Forget all points after a step, as when an attempt goes on from its checkpoint."""
        size = int(np.searchsorted(self["step"], step, "right"))
        if size < len(self):
            self._cuts.append(size)
            for column in self._columns.values():
                column.cut(size)
        if len(self) and (not self.restarts or self.restarts[-1] != step):
            self.restarts = [*(old for old in self.restarts if old < step), step]

    def _append(self, number: Whole, steps: Sequence[Step]) -> None:
        if len(self) and number[0] <= self["step"][-1]:
            self.rewind(int(number[0]) - 1)
        self._columns["step"].extend(number)
        self._columns["time"].extend([step.time for step in steps])
        for name in ("loss", "lr", "grad_norm", "seconds"):
            self._columns[name].extend(_finite(getattr(step, name) for step in steps))
        speed = [s.tokens / s.seconds if s.seconds and s.seconds > 0 else None for s in steps]
        self._columns["tokens_per_second"].extend(_finite(speed))
        self._columns["tokens"].extend([step.tokens for step in steps])
        for part in PARTS:
            self._columns[f"split.{part}"].extend(_finite(s.split.get(part) for s in steps))


def _finite(values: Iterable[float | None]) -> Floats:
    found = np.array([np.nan if value is None else value for value in values], np.float64)
    found[~np.isfinite(found)] = np.nan
    return found
