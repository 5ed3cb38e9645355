"""How a map of layers × experts lies in a panel: which axis goes down, folded or scrolled.

Shapes: L layers, E experts; [R, C] the map as drawn, with either on either axis, maybe folded.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cockpit.loads import Floats
from cockpit.widgets.heat_scale import PER_OCTAVE, Heat, Levels, Mark

GUTTER = 4
HEAD = 2
"""Rows above the map: title and labels."""
WIDEST = 7
ZOOMED = 5
"""Columns of a cell that is meant to be read."""
_URGENT = 1e6


@dataclass(frozen=True)
class Layout:
    """How a map is laid out: layers down (else across), how many of each share a drawn row or
    column, how many terminal columns a cell has, and how many rows and columns of cells are seen
    at a time."""

    layers_down: bool
    fold_rows: int
    fold_columns: int
    cell: int
    rows: int
    columns: int


def layout(
    layers: int, experts: int, width: int, height: int, foot: int = 1, zoom: bool = False
) -> Layout:
    """The layout that folds least in a panel; between equals layers go down. foot is the rows below
    the map. zoom folds nothing and has room for figures; what does not fit is scrolled to."""
    room_rows, room_columns = max(height - HEAD - foot, 1), max(width - GUTTER, 1)
    best: tuple[int, int, Layout] | None = None
    for order, (rows, columns) in enumerate(((layers, experts), (experts, layers))):
        fold_rows, fold_columns = -(-rows // room_rows), -(-columns // room_columns)
        drawn_rows, drawn_columns = -(-rows // fold_rows), -(-columns // fold_columns)
        cell = min(room_columns // drawn_columns, WIDEST)
        found = Layout(order == 0, fold_rows, fold_columns, cell, drawn_rows, drawn_columns)
        key = (fold_rows * fold_columns, order, found)
        if best is None or key[:2] < best[:2]:
            best = key
    assert best is not None
    if not zoom or (best[0] == 1 and best[2].cell >= ZOOMED):
        return best[2]
    cell = max(ZOOMED, min(room_columns // experts, WIDEST))
    return Layout(
        True, 1, 1, cell, min(layers, room_rows), max(min(experts, room_columns // cell), 1)
    )


def needed_height(layers: int, experts: int, width: int, limit: int) -> int:
    """Rows that the map fills, title, labels and legend included, if it may have up to limit."""
    return min(layout(layers, experts, width, limit).rows + HEAD + 1, limit)


def blocks(values: npt.NDArray[np.generic], rows: int, columns: int, fill: float) -> Floats:
    """Values [A, B] in groups of rows × columns: [R, C, rows · columns], filled up at the ends."""
    height, width = -(-values.shape[0] // rows), -(-values.shape[1] // columns)
    padded = np.full((height * rows, width * columns), fill)
    padded[: values.shape[0], : values.shape[1]] = values
    split = padded.reshape(height, rows, width, columns).swapaxes(1, 2)
    return split.reshape(height, width, rows * columns)


def urgency(share: Floats, mark: Levels, alarmed: npt.NDArray[np.bool_]) -> Floats:
    """How much a value deserves to be seen where several share a cell: how uneven it is (in
    octaves); first of all those with an alarm, then those that do not move, then dead ones."""
    with np.errstate(divide="ignore"):
        uneven = np.abs(np.log2(share))
    uneven = np.where(np.isfinite(uneven), uneven, -1.0)
    uneven = np.where(mark == Mark.DEAD, _URGENT, uneven)
    uneven = np.where(mark == Mark.STUCK, 2 * _URGENT, uneven)
    return uneven + np.where(alarmed, 4 * _URGENT, 0.0)


def picks(
    heat: Heat, plan: Layout, alarmed: npt.NDArray[np.bool_], before: Levels | None = None
) -> Levels:
    """Which expert each drawn cell shows [R, C], as layer × E + expert: the most urgent of those
    that share it. One that was shown before stays until another is clearly more urgent."""
    own = np.arange(heat.share.size).reshape(heat.share.shape)
    if not plan.layers_down:
        own = own.T
    if plan.fold_rows == plan.fold_columns == 1:
        return own
    urgent = urgency(heat.share, heat.mark, alarmed)
    turned = urgent if plan.layers_down else urgent.T
    group = blocks(turned, plan.fold_rows, plan.fold_columns, -2.0)
    which = blocks(own, plan.fold_rows, plan.fold_columns, -1).astype(np.int64)
    top = group.argmax(axis=2)[..., None]
    found = np.take_along_axis(which, top, 2)[..., 0]
    if before is None or before.shape != found.shape:
        return found
    most = np.take_along_axis(group, top, 2)[..., 0]
    near = urgent.ravel()[before] >= most - 0.25 / PER_OCTAVE
    return np.where(near & (which == before[..., None]).any(axis=2), before, found)


def place_of(plan: Layout, layer: int, expert: int) -> tuple[int, int]:
    """The drawn row and column of an expert, from the map's upper left corner."""
    down, across = (layer, expert) if plan.layers_down else (expert, layer)
    return down // plan.fold_rows, across // plan.fold_columns


def scrolled(first: int, at: int, shown: int, total: int) -> int:
    """The first row (or column) to show, so that `at` is seen: as before if it can stay."""
    first = min(max(first, at - shown + 1), at)
    return max(0, min(first, total - shown))
