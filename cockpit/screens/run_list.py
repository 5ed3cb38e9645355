"""The runs of the home screen with their states, kept up to date cheaply. No Textual here."""

from __future__ import annotations

from pathlib import Path

from cockpit import runs, state
from cockpit.runs import Run
from cockpit.state import RunState
from cockpit.widgets.render_home import PresetRow, RunRow
from trainer.contract import messages, presets
from trainer.contract.config import ConfigError

PIECE = 2**18
"""Bytes read at the start and at the end of a journal; what lies between decides no state."""


class RunList:
    """Reads of each journal its ends once, then only what it gains."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._states: dict[Path, tuple[int, RunState]] = {}
        self.runs: dict[str, Run] = {}

    def rows(self) -> list[RunRow]:
        """All runs, newest first; does the file work, so not for the screen's own thread."""
        found = runs.all_runs(self._root)
        self.runs = {run.id: run for run in found}
        return [self._row(run) for run in found]

    def _row(self, run: Run) -> RunRow:
        now = self._state(run)
        name = now.state
        if not now.over and state.is_lost(run):
            name = "lost"
        return RunRow(
            run.id, run.name, run.preset, name, now.step, now.steps, now.loss, run.created
        )

    def _state(self, run: Run) -> RunState:
        offset, known = self._states.get(run.path, (0, RunState()))
        try:
            with run.journal.open("rb") as file:
                size = file.seek(0, 2)
                if size == offset:
                    return known
                file.seek(offset)
                if size - offset <= 2 * PIECE:
                    data = file.read(size - offset)
                else:
                    data = file.read(PIECE) if offset == 0 else b""
                    file.seek(size - PIECE)
                    data += b"\n" + file.read(PIECE)
        except OSError:
            return known
        whole, _, rest = data.rpartition(b"\n")
        for entry in messages.decode_entries(whole.split(b"\n")):
            known.apply(entry)
        self._states[run.path] = (size - len(rest), known)
        return known


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
