"""The layer × expert heatmap: token shares in, grid out.

Shapes: L layers, E experts; [R, C] the map as drawn, with either on either axis, maybe folded.
A share is relative to the uniform one: 1.0 is what every expert gets if routing is even.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cockpit.series import Floats
from cockpit.widgets.grid import Grid, Ink, title

Levels = npt.NDArray[np.int64]
LEVELS = 16
PER_OCTAVE = 2.4
"""Levels per doubling: the 16 reach from an eighth to eight times the uniform share."""
HOT, COLD = 3.2, 0.5
"""From where on an expert gets a glyph."""
GUTTER = 4


def shares(counts: npt.NDArray[Any]) -> Floats:
    """Share of each expert relative to the uniform one [L, E] from token counts [L, E]; NaN in a
    layer that saw no token."""
    total = counts.sum(axis=1, keepdims=True).astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(total > 0, counts * counts.shape[1] / total, np.nan)


def levels(share: Floats, before: Levels | None = None) -> Levels:
    """The colour level of each share, 0 to 15; −1 for NaN. A level moves only when the share has
    left it by more than a quarter of a level, so that noise does not flicker."""
    with np.errstate(divide="ignore", invalid="ignore"):
        place = np.clip(np.log2(share) * PER_OCTAVE + (LEVELS - 1) / 2, -0.5, LEVELS - 0.5)
    known = np.isfinite(place)
    place = np.where(known, place, 0.0)
    found = np.clip(np.floor(place + 0.5), 0, LEVELS - 1).astype(np.int64)
    if before is not None and before.shape == found.shape:
        near = (np.abs(place - before) <= 0.75) & (before >= 0)
        found = np.where(near, before, found)
    return np.where(known, found, -1)


def steady(share: Floats, before: Floats | None = None) -> Floats:
    """The shares as written, to one decimal, with the same quarter step of patience."""
    found: Floats = np.round(share, 1)
    if before is None or before.shape != found.shape:
        return found
    return np.where(np.abs(share - before) <= 0.075, before, found)


@dataclass(frozen=True)
class Layout:
    """How a map is laid out: layers down (else across), how many of each share a drawn row or
    column, and how many terminal columns a cell has."""

    layers_down: bool
    fold_rows: int
    fold_columns: int
    cell: int


def layout(layers: int, experts: int, width: int, height: int) -> Layout:
    """The layout that folds least in a panel; between equals layers go down."""
    best: tuple[int, int, Layout] | None = None
    for order, (rows, columns) in enumerate(((layers, experts), (experts, layers))):
        room_rows, room_columns = max(height - 3, 1), max(width - GUTTER, 1)
        fold_rows, fold_columns = -(-rows // room_rows), -(-columns // room_columns)
        cell = min(room_columns // -(-columns // fold_columns), 7)
        found = Layout(order == 0, fold_rows, fold_columns, cell)
        key = (fold_rows * fold_columns, order, found)
        if best is None or key[:2] < best[:2]:
            best = key
    assert best is not None
    return best[2]


def needed_height(layers: int, experts: int, width: int, limit: int) -> int:
    """Rows that the map fills, title, labels and legend included, if it may have up to limit."""
    plan = layout(layers, experts, width, limit)
    rows = layers if plan.layers_down else experts
    return min(-(-rows // plan.fold_rows) + 3, limit)


def folded(values: Floats, rows: int, columns: int) -> tuple[Floats, Levels]:
    """[R, C] with the most uneven of every rows × columns values, and its flat index in them."""
    height, width = -(-values.shape[0] // rows), -(-values.shape[1] // columns)
    padded = np.full((height * rows, width * columns), np.nan)
    padded[: values.shape[0], : values.shape[1]] = values
    index = np.full(padded.shape, -1, np.int64)
    index[: values.shape[0], : values.shape[1]] = np.arange(values.size).reshape(values.shape)

    def grouped(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return (
            array.reshape(height, rows, width, columns)
            .swapaxes(1, 2)
            .reshape(height, width, rows * columns)
        )

    groups = grouped(padded)
    with np.errstate(divide="ignore"):
        uneven = np.nan_to_num(np.abs(np.log2(groups)), nan=-1.0, posinf=1e9)
    pick = uneven.argmax(axis=2)[..., None]
    return (
        np.take_along_axis(groups, pick, 2)[..., 0],
        np.take_along_axis(grouped(index), pick, 2)[..., 0],
    )


@dataclass(frozen=True)
class Load:
    """Tokens per layer and expert [L, E] over some steps; layers are the decoder's numbers."""

    layers: list[int]
    counts: npt.NDArray[np.int64]
    steps: int
    tokens: int


@dataclass
class Heat:
    """All that a heatmap shows. share, level and written are [L, E]; layers are the decoder's
    numbers of the L; steps and tokens say over how much was counted."""

    share: Floats
    level: Levels
    written: Floats
    layers: list[int]
    steps: int
    tokens: int


def heatmap(width: int, height: int, heat: Heat) -> Grid:
    """The map with title, labels and legend."""
    grid = Grid(width, height)
    plan = layout(heat.share.shape[0], heat.share.shape[1], width, height)
    over = f"last {heat.steps:,} step{'s' * (heat.steps != 1)}"
    if width >= 80:
        over += f" · {heat.tokens:,} tokens a layer"
    room = width - len(over) - 3
    heading = next((text for text in _headings(plan) if len(text) <= room), "experts")
    title(grid, heading, note=over)
    turn = (lambda a: a) if plan.layers_down else np.transpose
    share, index = folded(turn(heat.share), plan.fold_rows, plan.fold_columns)
    level = turn(heat.level).ravel()[index]
    written = turn(heat.written).ravel()[index]
    _cells(grid, plan, share, np.where(index >= 0, level, -1), written)
    _labels(grid, plan, share.shape, heat.layers)
    _legend(grid, heat)
    return grid


def _headings(plan: Layout) -> list[str]:
    """What the map is, at length and shorter."""
    down, across = ("layers", "experts") if plan.layers_down else ("experts", "layers")
    axes = f"{down} ↓ {across} →"
    if plan.fold_rows * plan.fold_columns == 1:
        return [f"experts: share of tokens · {axes}", f"experts · {axes}"]
    folds = f"most uneven of {plan.fold_rows}×{plan.fold_columns}"
    return [
        f"experts: share of tokens · {axes}, {folds}",
        f"experts · {axes}, {folds}",
        f"experts · {folds}",
    ]


def glyph(share: float) -> str:
    """What marks a cell besides its colour."""
    if share == 0:
        return "✕"
    return "▲" if share >= HOT else "▽" if share < COLD else " "


def _cells(grid: Grid, plan: Layout, share: Floats, level: Levels, written: Floats) -> None:
    for row in range(min(share.shape[0], grid.height - 3)):
        column = GUTTER
        for value, tone, figure in zip(
            share[row].tolist(), level[row].tolist(), written[row].tolist(), strict=True
        ):
            ink = Ink.HEAT + tone if tone >= 0 else Ink.FAINT
            grid.put(row + 2, column, _cell(value, figure, tone, plan.cell), ink)
            column += plan.cell


def _cell(share: float, figure: float, tone: int, width: int) -> str:
    if tone < 0:
        return "·".center(width)
    mark = glyph(share)
    if width < 4 or share == 0:
        return mark.center(width)
    text = f"{figure:.1f}" if figure < 9.95 else f"{figure:.0f}"
    return (f"{text}{mark}" if width >= 5 else text).center(width)


def _labels(grid: Grid, plan: Layout, shape: tuple[int, ...], layers: list[int]) -> None:
    def name(index: int, layer: bool) -> str:
        return f"L{layers[index]}" if layer else f"e{index}"

    for row in range(min(shape[0], grid.height - 3)):
        label = name(row * plan.fold_rows, plan.layers_down)
        grid.put(row + 2, GUTTER - 1 - len(label), label, Ink.DIM)
    free = 0
    for column in range(shape[1]):
        label = name(column * plan.fold_columns, not plan.layers_down)
        start = GUTTER + column * plan.cell + max((plan.cell - len(label)) // 2, 0)
        if start >= free and start + len(label) <= grid.width:
            free = grid.put(1, start, label, Ink.DIM) + 2


def _legend(grid: Grid, heat: Heat) -> None:
    row = grid.height - 1
    gap = "  " if grid.width >= 60 else " "
    column = grid.put(row, GUTTER if grid.width >= 60 else 1, "⅛×", Ink.DIM)
    for level in range(LEVELS):
        column = grid.put(row, column, " ", Ink.HEAT + level)
    column = grid.put(row, column, f"8×{gap}", Ink.DIM)
    for mark, text, ink in (
        ("✕", "none", Ink.COLD_TEXT),
        ("▽", f"<{COLD}", Ink.COLD_TEXT),
        ("▲", f">{HOT}", Ink.HOT_TEXT),
    ):
        column = grid.put(row, column, mark, ink)
        column = grid.put(row, column, f"{text}{gap}", Ink.DIM)
    text = "busiest " + extreme(heat, True) + " · idlest " + extreme(heat, False)
    if np.isfinite(heat.share).any() and grid.width - len(text) > column:
        grid.put_right(row, text, Ink.DIM)


def extreme(heat: Heat, most: bool) -> str:
    """The expert with the largest or smallest share: `L3 e7 2.1×`."""
    values = np.nan_to_num(heat.share, nan=-1.0 if most else np.inf)
    at = int(values.argmax() if most else values.argmin())
    layer, expert = divmod(at, heat.share.shape[1])
    return f"L{heat.layers[layer]} e{expert} {heat.written[layer, expert]:.1f}×"
