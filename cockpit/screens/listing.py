"""Which runs a list shows, and in which order. Pure; no Textual here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from cockpit.widgets.render_home import RunRow

_STATES = (
    *("training", "evaluating", "checkpointing", "loading", "starting", "restarting", "stopping"),
    *("paused", "failed", "lost", "stopped", "done"),
)
"""What wants to be looked at, first."""


def _state(row: RunRow) -> tuple[int, float]:
    place = _STATES.index(row.state) if row.state in _STATES else len(_STATES)
    return place, -row.created


ORDERS: dict[str, Callable[[RunRow], Any]] = {
    "age": lambda row: -row.created,
    "state": _state,
    "run": lambda row: row.name.casefold(),
    "preset": lambda row: (row.preset.casefold(), -row.created),
    "step": lambda row: row.step,
    "loss": lambda row: row.loss,
}
"""The columns that runs can be sorted by, and what decides."""


def listed(
    rows: Sequence[RunRow], query: str = "", order: str = "age", down: bool = False
) -> list[RunRow]:
    """The runs that have every word of the query in their name, id, preset or state, sorted; down
    turns the order round. A run without a loss comes last in either order of losses."""
    words = query.casefold().split()
    found = [row for row in rows if all(word in _text(row) for word in words)]
    if order == "loss":
        known = [row for row in found if row.loss is not None]
        unknown = [row for row in found if row.loss is None]
        return sorted(known, key=ORDERS[order], reverse=down) + unknown
    return sorted(found, key=ORDERS[order], reverse=down)


def _text(row: RunRow) -> str:
    return f"{row.name} {row.id} {row.preset} {row.state}".casefold()


def after(order: str) -> str:
    """The order that follows, round and round."""
    names = list(ORDERS)
    return names[(names.index(order) + 1) % len(names)]
