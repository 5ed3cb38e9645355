"""One layer through the run: time × expert at the left, its distribution at the right.

Shapes: T windows, C columns of time, E experts, R drawn rows (experts, maybe folded).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cockpit.loads import Floats, Kind, by_column, evenness, shares
from cockpit.widgets.grid import Grid, Ink, cells_of, title
from cockpit.widgets.heat_layout import GUTTER, blocks, urgency
from cockpit.widgets.heat_scale import Heat, Levels, Mark, levels, marks
from cockpit.widgets.palette import ALARM, RUN
from cockpit.widgets.render_heatmap import GLYPHS

FIGURE = 12
"""Columns of an expert's name, figure and marks before its bar."""
LEAST = 60
"""A panel narrower than this shows no distribution."""


@dataclass(frozen=True)
class LayerHistory:
    """Values [T, E] (tokens, or norms) of one layer, by its index, in windows that end after steps
    [T]. Every stride-th window is among them; ready is how much of them was read, 0 to 1. end is
    where the time axis ends."""

    kind: Kind
    layer: int
    steps: npt.NDArray[np.int64]
    values: npt.NDArray[Any]
    stride: int
    ready: float
    end: int


@dataclass(frozen=True)
class LayerView:
    """A layer to draw. alarmed [E]; expert is under the pointer; first is the first row seen; fold
    is how many experts share a row; step is the moment one looks at, None if live."""

    heat: Heat
    layer: int
    history: LayerHistory | None
    alarmed: npt.NDArray[np.bool_]
    expert: int
    first: int
    fold: int
    step: int | None


def fold_of(experts: int, height: int, foot: int, zoom: bool) -> int:
    """How many experts share a row; 1 if zoomed, and then some have to be scrolled to."""
    return 1 if zoom else -(-experts // rows_of(height, foot))


def rows_of(height: int, foot: int) -> int:
    """Rows for experts: all but title, axis and foot."""
    return max(height - 2 - foot, 1)


def split(width: int) -> tuple[int, int]:
    """Columns of time, and where the distribution begins (the width if there is none)."""
    if width < LEAST:
        return max(width - GUTTER, 1), width
    beside = min(max(width // 3, FIGURE + 12), 52)
    return width - GUTTER - 2 - beside, width - beside


def layer_map(width: int, height: int, foot: int, view: LayerView) -> Grid:
    """The panel; the rows of the foot are left blank."""
    grid = Grid(width, height)
    columns, beside = split(width)
    _title(grid, view)
    shown = range(view.first, min(view.first + rows_of(height, foot), _rows(view)))
    history = view.history
    if history is not None and len(history.steps):
        body = over_time(history, columns, view.heat.kind == "updates", view.fold)
        part = Grid(columns, len(shown))
        part.chars, part.inks = (
            body.chars[shown.start : shown.stop],
            body.inks[shown.start : shown.stop],
        )
        grid.paste(1, GUTTER, part)
    elif shown:
        text = "reading the journal" if history is None else "nothing in the journal yet"
        grid.put(1 + len(shown) // 2, GUTTER + max((columns - len(text)) // 2, 0), text, Ink.DIM)
    for row, index in enumerate(shown, 1):
        label = f"e{index * view.fold}"
        here = index == view.expert // view.fold
        grid.put(row, GUTTER - 1 - len(label), label, Ink.POINTER if here else Ink.DIM)
    if beside < width:
        grid.paste(1, beside, distribution(width - beside, shown, view))
    _axis(grid, 1 + len(shown), columns, view)
    return grid


def _rows(view: LayerView) -> int:
    return -(-view.heat.shape[1] // view.fold)


def _title(grid: Grid, view: LayerView) -> None:
    heat, layer = view.heat, view.heat.layers[view.layer]
    what = "share of tokens" if heat.kind == "experts" else "movement of weights"
    folds = f", most uneven of {view.fold}" if view.fold > 1 else ""
    value = ""
    if heat.kind == "experts":
        used = evenness(heat.value[view.layer])
        value = f"in effect {used:.1f} of {heat.shape[1]} experts" if np.isfinite(used) else ""
    notes = []
    if view.history is not None and view.history.stride > 1:
        notes.append(f"1 of {view.history.stride:,} windows")
    if view.history is not None and view.history.ready < 1:
        notes.append(f"reading {view.history.ready:.0%}")
    note = ", ".join(notes)
    room = grid.width - len(value) - len(note) - 4
    headings = (
        f"layer {layer}: {what} · experts ↓ steps →{folds}",
        f"layer {layer}: {what}{folds}",
    )
    heading = next((text for text in headings if len(text) <= room), f"layer {layer}{folds}")
    title(grid, heading, value if len(heading) <= room else "", note)


def over_time(history: LayerHistory, columns: int, mean: bool, fold: int) -> Grid:
    """The map time × expert [R, columns]; a column is blank from the newest window on. A window
    covers the steps since the one before, so a column without one shows the next."""
    value = by_column(history.steps, history.values, history.end, columns, mean)
    share = relative(value) if mean else shares(np.nan_to_num(value))
    known = np.flatnonzero(np.isfinite(value).any(axis=1))
    grid = Grid(columns, -(-history.values.shape[1] // fold))
    if not len(known):
        return grid
    following = known[np.minimum(np.searchsorted(known, np.arange(columns)), len(known) - 1)]
    share = share[following].T
    level, mark = levels(share), marks(share)
    level, mark = _folded(share, level, mark, fold)
    ink = np.where(level >= 0, Ink.HEAT + level, int(Ink.FAINT))
    glyphs = np.array([ord(GLYPHS[code]) for code in Mark], np.uint32)
    past = np.arange(columns) <= known[-1]
    grid.chars[:] = np.where(past, glyphs[mark], 32)
    grid.inks[:] = np.where(past, ink, 0)
    return grid


def relative(value: Floats) -> Floats:
    """Norms relative to the median of those that are not 0."""
    moved = value[value > 0]
    return value / np.median(moved) if len(moved) else value


def _folded(share: Floats, level: Levels, mark: Levels, fold: int) -> tuple[Levels, Levels]:
    """Level and mark [R, C] of the most uneven of every `fold` rows of [E, C]."""
    if fold == 1:
        return level, mark
    urgent = urgency(share, mark, np.zeros(share.shape, bool))
    top = blocks(urgent, fold, 1, -2.0).argmax(axis=2)[..., None]
    return (
        np.take_along_axis(blocks(level, fold, 1, -1), top, 2)[..., 0].astype(np.int64),
        np.take_along_axis(blocks(mark, fold, 1, 0), top, 2)[..., 0].astype(np.int64),
    )


def distribution(width: int, shown: range, view: LayerView) -> Grid:
    """A bar for each row's expert (its most uneven one, if several share it), with a hairline at
    the even share."""
    heat, layer, fold = view.heat, view.layer, view.fold
    grid = Grid(width, len(shown))
    share, mark = heat.share[layer], heat.mark[layer]
    known = share[np.isfinite(share)]
    top = max(2.0, float(np.ceil(known.max()))) if len(known) else 2.0
    room = max(width - FIGURE, 1)
    even = FIGURE + min(int(room / top), room - 1)
    urgent = urgency(share, mark, view.alarmed)
    for row, index in enumerate(shown):
        first = index * fold
        expert = first + int(urgent[first : first + fold].argmax())
        if view.expert // fold == index:
            expert = view.expert
        value, code = float(share[expert]), int(mark[expert])
        name = f"e{expert}".rjust(4) if fold > 1 else ""
        figure = f"{heat.written[layer, expert]:.1f}×" if np.isfinite(value) else "NA"
        sign = ALARM if view.alarmed[expert] else " "
        grid.put(row, 0, f"{name:4} {figure:>5}"[-10:], Ink.DIM)
        grid.put(row, 10, GLYPHS[code] + sign, _bar_ink(value, code))
        if np.isfinite(value):
            length = _bar(value / top * room)
            grid.put(row, FIGURE, length, _bar_ink(value, code))
            if FIGURE + len(cells_of(length)) <= even:
                grid.put(row, even, "│", Ink.RULE)
    return grid


def _bar_ink(value: float, mark: int) -> int:
    if mark == Mark.STUCK:
        return Ink.BAD
    return Ink.HOT_TEXT if value > 1.5 else Ink.COLD_TEXT if value < 2 / 3 else Ink.TEXT


def _bar(columns: float) -> str:
    """A bar of that length, to an eighth of a column."""
    eighths = round(columns * len(RUN))
    whole, rest = divmod(eighths, len(RUN))
    return RUN[-1] * whole + (RUN[rest - 1] if rest else "")


def _axis(grid: Grid, row: int, columns: int, view: LayerView) -> None:
    history = view.history
    end = history.end if history is not None else 0
    grid.put(row, GUTTER, "1", Ink.DIM)
    text = f"{end:,}"
    if end and columns > len(text) + 4:
        grid.put(row, GUTTER + columns - len(text), text, Ink.DIM)
    if view.step is not None and end:
        at = GUTTER + min(max((view.step * columns - 1) // end, 0), columns - 1)
        column = grid.put(row, at, "▴", Ink.WARN)
        grid.put(row, column, f" {view.step:,}", Ink.WARN)


def step_at(column: int, width: int, end: int) -> int | None:
    """The step that a column of the panel stands for; None beside the time."""
    columns, _ = split(width)
    if not 0 <= column - GUTTER < columns:
        return None
    return 1 + (column - GUTTER) * end // columns
