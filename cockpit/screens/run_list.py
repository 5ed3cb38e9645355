"""The runs of the home screen with their states, kept up to date cheaply. No Textual here."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from cockpit import runs, state
from cockpit.runs import Run
from cockpit.sparks import Trace
from cockpit.state import RunState
from cockpit.widgets.render_home import PresetRow, RunRow
from trainer.contract import messages, presets
from trainer.contract.config import ConfigError
from trainer.contract.messages import Entry, Step

PIECE = 2**18
"""Bytes read at the start and at the end of a journal; what lies between decides no state."""
SAMPLES, SAMPLE = 32, 2**13
"""How many places between are looked at for the curve of the loss, and bytes at each."""


@dataclass
class _Known:
    """What was read of a journal up to an offset."""

    offset: int = 0
    state: RunState = field(default_factory=RunState)
    trace: Trace = field(default_factory=Trace)


class RunList:
    """Reads of each journal its ends and samples once, then only what it gains."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known: dict[Path, _Known] = {}
        self.runs: dict[str, Run] = {}
        """By their rows' keys."""
        self.complete = False
        """Whether the newest rows tell of every run what it does."""

    def rows(self, patience: float = math.inf) -> list[RunRow]:
        """All runs, newest first; does the file work, so not for the screen's own thread. After
        so many seconds journals that were never read are put off: their runs have no state yet,
        and `complete` is False until further calls have read them."""
        found = runs.all_runs(self._root)
        self.runs = {str(run.path): run for run in found}
        self.complete = True
        until = time.monotonic() + patience
        return [self._row(run, until) for run in found]

    def _row(self, run: Run, until: float) -> RunRow:
        if run.path not in self._known and time.monotonic() > until:
            self.complete = False
            return RunRow(str(run.path), run.id, run.name, run.preset, "", 0, 0, None, run.created)
        known = self._read(run)
        now = known.state
        name = now.state
        if not now.over and state.is_lost(run):
            name = "lost"
        return RunRow(
            str(run.path), run.id, run.name, run.preset, name, now.step, now.steps, now.loss,
            run.created, tuple(known.trace.points),
        )  # fmt: skip

    def _read(self, run: Run) -> _Known:
        known = self._known.setdefault(run.path, _Known())
        try:
            with run.journal.open("rb") as file:
                size = file.seek(0, 2)
                if size == known.offset:
                    return known
                first, middle, last = _pieces(file, known.offset, size)
        except OSError:
            return known
        whole, _, rest = last.rpartition(b"\n")
        for piece in (first, whole):
            entries = messages.decode_entries(piece.split(b"\n"))
            for entry in entries:
                known.state.apply(entry)
            known.trace.extend(_losses(entries))
            if piece is first:
                lines = (line for line in middle.split(b"\n") if b'"type":"step"' in line)
                known.trace.extend(_losses(messages.decode_entries(lines)))
        known.offset = size - len(rest)
        return known


def _pieces(file: BinaryIO, offset: int, size: int) -> tuple[bytes, bytes, bytes]:
    """The first bytes of a journal from an offset on, samples of what lies between, and its last
    bytes. A short rest is all in the last."""
    file.seek(offset)
    if size - offset <= 2 * PIECE:
        return b"", b"", file.read(size - offset)
    first = file.read(PIECE) if offset == 0 else b""
    start, end = offset + len(first), size - PIECE
    samples = []
    for n in range(SAMPLES):
        file.seek(start + (end - start) * n // SAMPLES)
        samples.append(file.read(min(SAMPLE, (end - start) // SAMPLES)))
    file.seek(end)
    # A piece begins and ends in the middle of a line; the blank line keeps two apart.
    return first, b"\n".join(samples), b"\n" + file.read(PIECE)


def _losses(entries: Iterable[Entry]) -> Iterator[tuple[int, float | None]]:
    return ((entry.step, entry.loss) for entry in entries if isinstance(entry, Step))


def preset_rows() -> list[PresetRow]:
    """The shipped presets; one that cannot be read says so in its line."""
    rows = []
    for name in presets.names():
        try:
            description = presets.resolve(name).description
        except ConfigError as error:
            description = str(error)
        rows.append(PresetRow(name, description))
    return rows
