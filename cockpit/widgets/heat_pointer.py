"""Where the pointer on a map goes: functions of where it is and what is drawn."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cockpit.widgets.heat_layout import Layout, place_of
from cockpit.widgets.heat_scale import Heat, Levels, Mark

Pointer = tuple[int, int]
"""A layer's index and an expert."""


def moved(
    pointer: Pointer, down: int, across: int, plan: Layout, picks: Levels, experts: int
) -> Pointer:
    """By so many drawn cells, to the expert that is shown there; it stops at the edges. experts is
    how many a layer has: what picks [R, C] are counted in."""
    at = place_of(plan, *pointer)
    row = min(max(at[0] + down, 0), picks.shape[0] - 1)
    column = min(max(at[1] + across, 0), picks.shape[1] - 1)
    return pointer if (row, column) == at else pointer_of(int(picks[row, column]), experts)


def pointer_of(pick: int, experts: int) -> Pointer:
    """Layer and expert of a pick."""
    layer, expert = divmod(pick, experts)
    return layer, expert


def next_marked(
    heat: Heat, alarmed: npt.NDArray[np.bool_], pointer: Pointer, way: int
) -> Pointer | None:
    """The next expert (way 1; −1: the one before) that has an alarm; where none has, one that got
    no token, does not move, or is hot; round the ends. None if there is none."""
    found = alarmed.ravel()
    if not found.any():
        found = np.isin(heat.mark.ravel(), (Mark.DEAD, Mark.STUCK, Mark.HOT))
    places = np.flatnonzero(found)
    if not len(places):
        return None
    here = pointer[0] * heat.shape[1] + pointer[1]
    after = places[places > here] if way > 0 else places[places < here]
    ends = (0, -1) if way > 0 else (-1, 0)
    return pointer_of(int(after[ends[0]] if len(after) else places[ends[0]]), heat.shape[1])
