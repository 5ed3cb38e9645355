"""The numbers of a run that do not come with every step: evaluations, balance, memory, sensors.

Each kind has a table of its own, with the step and the time beside each row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from cockpit.columns import Column
from trainer.contract import messages as m
from trainer.contract.messages import Entry

Row: TypeAlias = tuple[float | None, ...]

COLUMNS: dict[str, tuple[str, ...]] = {
    "eval": ("loss",),
    "balance": ("aux_loss", "z_loss"),
    "share": ("largest", "smallest"),
    "updates": ("largest", "median", "smallest"),
    "memory": (
        *("allocated", "reserved", "peak", "host_pinned", "offload_cpu", "offload_nvme"),
        *("nvme_read", "nvme_write", "offload_wait"),
    ),
    "gpu": ("utilisation", "memory_used", "temperature", "power"),
    "host": ("ram_used", "cpu", "disk_read", "disk_write", "net_sent", "net_received"),
}
"""The columns of the tables, by kind. There is a `memory` table for each rank and a `gpu` table
for each GPU: memory/0, memory/1 …"""


class Table:
    """Rows in the order of their steps, several of which may share one."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = tuple(names)
        self._columns = {name: Column(np.float32) for name in names}
        self._columns |= {"step": Column(np.int64), "time": Column()}
        self._cuts: list[int] = []

    def __len__(self) -> int:
        return len(self._columns["step"])

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        return self._columns[name].values

    @property
    def epoch(self) -> int:
        """How often rows were cut off."""
        return len(self._cuts)

    def intact(self, epoch: int, size: int) -> int:
        """How many of the size first rows that were there at an epoch are still the same."""
        return min([size, len(self), *self._cuts[epoch:]])

    def rewind(self, step: int) -> None:
        """Forget all rows after a step."""
        size = int(np.searchsorted(self["step"], step, "right"))
        if size < len(self):
            self._cuts.append(size)
            for column in self._columns.values():
                column.cut(size)

    def extend(self, rows: Sequence[Row]) -> None:
        """Append rows (step, time, values …); one for a step before that of earlier rows takes
        their place."""
        if not rows:
            return
        found = np.array(rows, np.float64)  # None becomes NaN
        step = found[:, 0].astype(np.int64)
        breaks = (np.flatnonzero(np.diff(step) < 0) + 1).tolist()
        for first, last in zip([0, *breaks], [*breaks, len(rows)], strict=True):
            self._append(step[first:last], found[first:last])

    def fill(self, older: Table) -> None:
        """Put the rows of another table before those that are known, but for those of steps that
        were done again."""
        size = len(older)
        if len(self):
            size = int(np.searchsorted(older["step"], self["step"][0], "right"))
        if size:
            self._cuts.append(0)
        for name, column in self._columns.items():
            known = column.values.copy()
            column.cut(0)
            column.extend(older[name][:size])
            column.extend(known)

    def _append(self, step: npt.NDArray[np.int64], rows: npt.NDArray[np.float64]) -> None:
        if len(self) and step[0] < self["step"][-1]:
            self.rewind(int(step[0]))
        self._columns["step"].extend(step)
        self._columns["time"].extend(rows[:, 1])
        for number, name in enumerate(self._names, 2):
            values = rows[:, number]
            self._columns[name].extend(np.where(np.isfinite(values), values, np.nan))


class Figures:
    """The tables of a run, and what is needed to make sense of them."""

    def __init__(self) -> None:
        self.tables: dict[str, Table] = {}
        self.hello: m.Hello | None = None
        self.gpu_name = ""
        """The first GPU, as NVML calls it."""
        self._step: int | None = 0  # that of what comes without a step of its own

    def kind(self, kind: str) -> dict[int, Table]:
        """The tables of one kind, by rank or GPU, those without a row left out."""
        found = {}
        for name, table in self.tables.items():
            first, _, number = name.partition("/")
            if first == kind and len(table):
                found[int(number or 0)] = table
        return dict(sorted(found.items()))

    def begin(self, entries: Iterable[Entry]) -> None:
        """Begin in the middle of a run: of what was before only the newest hello counts. What has
        no step of its own is left out until something tells the step."""
        self.take(entry for entry in entries if isinstance(entry, m.Hello))
        self._step = None

    def take(self, entries: Iterable[Entry]) -> None:
        """Take in entries, in the order of the journal."""
        rows: dict[str, list[Row]] = {}
        for entry in entries:
            if isinstance(entry, m.Step):
                self._step = entry.step
            elif isinstance(entry, m.Hello):
                self._append(rows)
                rows, self._step, self.hello = {}, entry.step, entry
                if entry.attempt > 1:
                    for table in self.tables.values():
                        table.rewind(entry.step)
            elif isinstance(entry, m.System):
                self._system(entry, rows)
            elif read := _READERS.get(type(entry)):
                name, step, values = read(entry)
                self._step = step
                if values:
                    rows.setdefault(name, []).append((step, entry.time, *values))
        self._append(rows)

    def fill(self, entries: Iterable[Entry]) -> None:
        """Take in entries from before those that are known, in the order of the journal: all, or a
        selection of them where there are many."""
        older = Figures()
        older.take(entries)
        self.join(older)

    def join(self, older: Figures) -> None:
        """Put the figures from before those that are known before them."""
        for name, table in older.tables.items():
            self.tables.setdefault(name, Table(COLUMNS[name.partition("/")[0]])).fill(table)
        self.hello = self.hello or older.hello
        self.gpu_name = self.gpu_name or older.gpu_name

    def _system(self, entry: m.System, rows: dict[str, list[Row]]) -> None:
        if self._step is None:
            return
        for gpu in entry.gpus:
            self.gpu_name = self.gpu_name or gpu.name
            values = (getattr(gpu, name) for name in COLUMNS["gpu"])
            rows.setdefault(f"gpu/{gpu.index}", []).append((self._step, entry.time, *values))
        host = (getattr(entry, name) for name in COLUMNS["host"])
        rows.setdefault("host", []).append((self._step, entry.time, *host))

    def _append(self, rows: dict[str, list[Row]]) -> None:
        for name, found in rows.items():
            if name not in self.tables:
                self.tables[name] = Table(COLUMNS[name.partition("/")[0]])
            self.tables[name].extend(found)


def _share(entry: m.Experts) -> Row:
    """The largest and the smallest share of any expert of any layer, relative to an even one."""
    rows = [row for row in entry.counts if row and sum(row) > 0]
    if not rows:
        return ()
    even = [sum(row) / len(row) for row in rows]
    pairs = list(zip(rows, even, strict=True))
    return max(max(row) / e for row, e in pairs), min(min(row) / e for row, e in pairs)


def _updates(entry: m.Updates) -> Row:
    """Of all experts: the one that moved most, the median, the one that moved least."""
    moved = sorted(norm for row in entry.norms for norm in row if norm is not None)
    return (moved[-1], moved[len(moved) // 2], moved[0]) if moved else ()


def _memory(entry: m.Memory) -> Row:
    return tuple(getattr(entry, name) for name in COLUMNS["memory"])


_READERS: dict[type[Any], Callable[[Any], tuple[str, int, Row]]] = {
    m.Eval: lambda entry: ("eval", entry.step, (entry.loss,)),
    m.Balance: lambda entry: ("balance", entry.step, (entry.aux_loss, entry.z_loss)),
    m.Experts: lambda entry: ("share", entry.step, _share(entry)),
    m.Updates: lambda entry: ("updates", entry.step, _updates(entry)),
    m.Memory: lambda entry: (f"memory/{entry.rank}", entry.step, _memory(entry)),
}
