"""The layer × expert heatmap: what is known of each expert in, grid out.

Shapes: L layers, E experts; [R, C] the map as drawn, with either on either axis, maybe folded.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from cockpit.widgets.grid import Grid, Ink, cells_of, title
from cockpit.widgets.heat_layout import GUTTER, HEAD, Layout, place_of
from cockpit.widgets.heat_scale import COLD, HOT, LEVELS, Heat, Levels, Mark, extreme
from cockpit.widgets.palette import ALARM, DEAD, NOTHING, STUCK
from cockpit.widgets.palette import COLD as COLD_MARK
from cockpit.widgets.palette import HOT as HOT_MARK

GLYPHS: dict[int, str] = {
    Mark.NONE: " ", Mark.COLD: COLD_MARK, Mark.HOT: HOT_MARK, Mark.DEAD: DEAD, Mark.STUCK: STUCK,
    Mark.UNKNOWN: NOTHING,
}  # fmt: skip
MOST_WRITTEN = 999
_GLYPH_CELLS = np.array([ord(GLYPHS[mark]) for mark in Mark], np.uint32)


@dataclass(frozen=True)
class Map:
    """A heatmap to draw. picks [R, C] says which expert each cell shows; top and left are the first
    row and column seen; pointer is a layer's index and an expert. alarmed is [L, E], told is
    what the title says at the right."""

    heat: Heat
    plan: Layout
    picks: Levels
    alarmed: npt.NDArray[np.bool_]
    top: int = 0
    left: int = 0
    pointer: tuple[int, int] | None = None
    told: str = ""


def heatmap(width: int, height: int, shown: Map) -> Grid:
    """The map with title and labels; what lies below it is left blank."""
    grid = Grid(width, height)
    plan = shown.plan
    note = shown.told or over(shown.heat, width)
    room = width - len(note) - 3
    headings = _headings(shown)
    last = headings[-1] if not shown.told and len(headings[-1]) <= width else "experts"
    heading = next((text for text in headings if len(text) <= room), last)
    title(grid, heading, **({"value": note} if shown.told else {"note": note}))
    seen = shown.picks[shown.top : shown.top + plan.rows, shown.left : shown.left + plan.columns]
    body = cells(shown.heat, seen, shown.alarmed, plan.cell)
    if shown.pointer is not None:
        row, column = place_of(plan, *shown.pointer)
        start = (column - shown.left) * plan.cell
        body.inks[row - shown.top, start : start + plan.cell] = Ink.POINTER
    grid.paste(HEAD, GUTTER, body)
    _labels(grid, shown)
    return grid


def over(heat: Heat, width: int) -> str:
    """Over how much was counted."""
    text = f"last {heat.steps:,} step{'s' * (heat.steps != 1)}"
    if width >= 80 and heat.kind == "experts":
        text += f" · {heat.tokens:,} tokens a layer"
    return text


def _headings(shown: Map) -> list[str]:
    """What the map is, at length and shorter."""
    plan = shown.plan
    what = "share of tokens" if shown.heat.kind == "experts" else "movement of weights"
    short = "experts" if shown.heat.kind == "experts" else "experts: movement"
    down, across = ("layers", "experts") if plan.layers_down else ("experts", "layers")
    axes = f"{down} ↓ {across} →"
    rows, columns = shown.picks.shape
    if rows > plan.rows or columns > plan.columns:
        part = f"{shown.top + 1}–{shown.top + plan.rows} of {rows} × "
        part += f"{shown.left + 1}–{shown.left + plan.columns} of {columns}"
        return [f"experts: {what} · {axes}, {part}", f"{short} · {part}", short]
    if plan.fold_rows * plan.fold_columns == 1:
        return [f"experts: {what} · {axes}", f"{short} · {axes}", short]
    folds = f"most uneven of {plan.fold_rows}×{plan.fold_columns}"
    return [
        f"experts: {what} · {axes}, {folds}",
        f"{short} · {axes}, {folds}",
        f"{short} · {folds}",
    ]


def cells(heat: Heat, seen: Levels, alarmed: npt.NDArray[np.bool_], width: int) -> Grid:
    """The cells of the experts in seen [R, C], each `width` columns: a mark, from 4 columns on also
    the figure, and ! where an alarm is raised (in place of the mark if there is no room)."""
    there = seen >= 0
    pick = np.where(there, seen, 0)
    mark = np.where(there, heat.mark.ravel()[pick], int(Mark.UNKNOWN))
    level = np.where(there, heat.level.ravel()[pick], -1)
    alarm = there & alarmed.ravel()[pick]
    rows, columns = seen.shape
    grid = Grid(columns * width, rows)
    chars = grid.chars.reshape(rows, columns, width)
    at = (width - 1) // 2 if width < 4 else figure_start(width) + 3
    chars[:, :, at] = _GLYPH_CELLS[mark]
    if width >= 4:
        plain = (mark != Mark.DEAD) & (mark != Mark.STUCK) & (mark != Mark.UNKNOWN)
        figures = _figures()[np.where(plain, figure_index(heat.written.ravel()[pick]), -1)]
        chars[:, :, figure_start(width) : figure_start(width) + 3] = figures
    sign = min(at + 1, width - 1)
    chars[:, :, sign] = np.where(alarm, ord(ALARM), chars[:, :, sign])
    ink = np.where(level >= 0, Ink.HEAT + level, int(Ink.FAINT))
    ink = np.where(mark == Mark.STUCK, int(Ink.STUCK), ink)
    grid.inks[:] = np.repeat(ink, width, axis=1)
    return grid


def figure_start(width: int) -> int:
    """Where the figure's three columns begin in a cell of at least 4."""
    return max((width - 4) // 2, 0)


def figure_index(written: npt.NDArray[np.float64]) -> Levels:
    """Where a figure is in the table of them: tenths below 10, whole numbers from there on."""
    value = np.clip(np.nan_to_num(written), 0, MOST_WRITTEN)
    tenths = np.round(value * 10)
    return np.where(tenths < 100, tenths, 90 + np.round(value)).astype(np.int64)


@lru_cache(1)
def _figures() -> npt.NDArray[np.uint32]:
    """`0.0` … `9.9`, ` 10` … `999`, and three blanks as the last [1091, 3]."""
    texts = [f"{n / 10:.1f}" for n in range(100)]
    texts += [f"{n:3d}" for n in range(10, MOST_WRITTEN + 1)] + ["   "]
    return np.array([cells_of(text) for text in texts], np.uint32)


def _labels(grid: Grid, shown: Map) -> None:
    plan, layers = shown.plan, shown.heat.layers

    def name(index: int, layer: bool) -> str:
        return f"L{layers[index]}" if layer else f"e{index}"

    at = place_of(plan, *shown.pointer) if shown.pointer is not None else (-1, -1)
    for row in range(shown.top, min(shown.top + plan.rows, shown.picks.shape[0])):
        label = name(row * plan.fold_rows, plan.layers_down)
        ink = Ink.STRONG if row == at[0] else Ink.DIM
        grid.put(HEAD + row - shown.top, GUTTER - 1 - len(label), label, ink)
    free = 0
    last = min(shown.left + plan.columns, shown.picks.shape[1])
    # The pointer's own label first, so that no other takes its place.
    order = [at[1]] if shown.left <= at[1] < last else []
    taken = (0, 0)
    for column in [*order, *range(shown.left, last)]:
        label = name(column * plan.fold_columns, not plan.layers_down)
        start = GUTTER + (column - shown.left) * plan.cell + max((plan.cell - len(label)) // 2, 0)
        start = min(start, grid.width - len(label)) if column == at[1] else start
        end = start + len(label)
        if column == at[1] and taken == (0, 0):
            grid.put(1, start, label, Ink.STRONG)
            taken = start - 1, end + 1
        elif start >= free and end <= grid.width and not (start < taken[1] and end > taken[0]):
            free = grid.put(1, start, label, Ink.DIM) + 2


def legend(grid: Grid, row: int, heat: Heat) -> None:
    """What colours and marks mean, in one row, and at its right the extremes."""
    gap = "  " if grid.width >= 60 else " "
    column = grid.put(row, GUTTER if grid.width >= 60 else 1, "⅛×", Ink.DIM)
    for level in range(LEVELS):
        column = grid.put(row, column, " ", Ink.HEAT + level)
    column = grid.put(row, column, f"8×{gap}", Ink.DIM)
    for mark, text, ink in _explained(heat):
        column = grid.put(row, column, mark, ink)
        column = grid.put(row, column, f"{text}{gap}", Ink.DIM)
    text = next((text for text in _summary(heat) if grid.width - len(text) > column), "")
    if text and np.isfinite(heat.share).any():
        grid.put_right(row, text, Ink.DIM)


def _summary(heat: Heat) -> list[str]:
    """What is most worth knowing of a map, at length and shorter."""
    if heat.kind == "experts":
        return [f"busiest {extreme(heat, True)} · idlest {extreme(heat, False)}"]
    stuck, known = int((heat.mark == Mark.STUCK).sum()), int(np.isfinite(heat.share).sum())
    if not stuck:
        return ["relative to the median norm"]
    return [f"{stuck:,} of {known:,} got tokens and did not move", f"{stuck:,} of {known:,} stuck"]


def _explained(heat: Heat) -> list[tuple[str, str, int]]:
    some = [(COLD_MARK, f"<{COLD}", Ink.COLD_TEXT), (HOT_MARK, f">{HOT}", Ink.HOT_TEXT)]
    if heat.kind == "experts":
        return [(DEAD, "none", Ink.COLD_TEXT), *some]
    return [(STUCK, "stuck", Ink.STUCK), (DEAD, "idle", Ink.COLD_TEXT), (NOTHING, "not trained", 0)]
