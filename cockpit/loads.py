"""Where the tokens went and how far the experts moved: values of one moment, and how they change.

Shapes: L layers with experts, E experts, T windows, C columns of a drawing. A share is relative to
the uniform one: 1.0 is what every expert of a layer gets if routing is even.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from trainer.contract.messages import Experts, Updates

Floats: TypeAlias = npt.NDArray[np.float64]
Counts: TypeAlias = npt.NDArray[np.int64]
Kind: TypeAlias = Literal["experts", "updates"]

ENOUGH = 256
"""Tokens that an expert should have got, were routing even, before a share means much."""
MOST_WINDOWS = 64
TRAIL = 24
"""Windows over which a trend is told."""


@dataclass(frozen=True)
class Load:
    """Tokens per layer and expert [L, E] over some steps, the last of them `step`; layers are the
    decoder's numbers. trail holds the counts [L, E] of single windows, oldest first."""

    layers: list[int]
    counts: Counts
    steps: int
    tokens: int
    step: int = 0
    trail: tuple[Counts, ...] = ()


@dataclass(frozen=True)
class Movement:
    """How far the experts' trainable weights moved over some steps, the last of them `step`.

    norms [L, E] are Euclidean; NaN where an expert has no trainable weight. tokens [L, E] is
    what each got meanwhile. trail holds the norms [L, E] of single windows, oldest first.
    """

    layers: list[int]
    norms: Floats
    tokens: Counts
    steps: int
    step: int = 0
    trail: tuple[Floats, ...] = ()


class Window(NamedTuple):
    """One `experts` entry as an array [L, E]."""

    layers: list[int]
    counts: Counts
    steps: int
    tokens: int
    step: int


def window_of(entry: Experts) -> Window:
    """The entry's counts as an array; [0, 0] where its rows are no rectangle."""
    counts = _rectangle(entry.counts, len(entry.layers), np.int64)
    return Window(entry.layers, counts, entry.steps, entry.tokens, entry.step)


def movement_of(entry: Updates, trail: Iterable[Updates] = ()) -> Movement:
    """The entry's values as arrays; [0, 0] where its rows are no rectangle."""
    rows = len(entry.layers)
    norms = _rectangle(entry.norms, rows, np.float64)
    tokens = _rectangle(entry.tokens, rows, np.int64)
    if tokens.shape != norms.shape:
        norms, tokens = norms[:0, :0], tokens[:0, :0]
    past = (_rectangle(older.norms, rows, np.float64) for older in trail)
    same = tuple(older for older in past if older.shape == norms.shape)
    return Movement(entry.layers, norms, tokens, entry.steps, entry.step, same)


def _rectangle(rows: Sequence[Sequence[Any]], height: int, dtype: type[Any]) -> npt.NDArray[Any]:
    """Rows of numbers (None becomes NaN) as [height, E]; [0, 0] if they are no rectangle."""
    try:
        return np.asarray(rows, dtype).reshape(height, -1)
    except (ValueError, TypeError, OverflowError):
        return np.zeros((0, 0), dtype)


def gather(newest_first: Iterable[Window]) -> Load | None:
    """A window and as many before it as it takes for the sum to mean something; None if there is
    none. Reads a little further back for the trail."""
    windows: list[Window] = []
    summed = steps = tokens = 0
    for window in newest_first:
        if windows and window.counts.shape != windows[0].counts.shape:
            break
        windows.append(window)
        if tokens < ENOUGH * window.counts.shape[1] and summed < MOST_WINDOWS:
            summed, steps, tokens = summed + 1, steps + window.steps, tokens + window.tokens
        elif len(windows) >= TRAIL:
            break
    if not windows:
        return None
    first = windows[0]
    counts = first.counts.copy()
    for window in windows[1:summed]:
        counts += window.counts
    trail = tuple(window.counts for window in reversed(windows[:TRAIL]))
    return Load(first.layers, counts, steps, tokens, first.step, trail)


def shares(counts: npt.NDArray[Any]) -> Floats:
    """Share of each expert relative to the uniform one, along the last axis: [..., E] from token
    counts [..., E]; NaN where nothing was counted."""
    total = counts.sum(axis=-1, keepdims=True).astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(total > 0, counts * counts.shape[-1] / total, np.nan)


def over_median(norms: Floats) -> Floats:
    """Norms [L, E] relative to the median of those that are not 0; what is 0 stays 0."""
    moved = norms[norms > 0]
    return norms / np.median(moved) if len(moved) else norms.copy()


def shares_of(load: Load, layer: int, expert: int) -> Floats:
    """The share of one expert in each window of the trail [T]; layer is an index."""
    rows = np.array([counts[layer] for counts in load.trail]).reshape(len(load.trail), -1)
    return shares(rows)[:, expert] if len(rows) else np.zeros(0)


class Trend(NamedTuple):
    """Which way a share goes: +1, 0, −1, and from where."""

    way: int
    before: float


def trend(load: Load, layer: int, expert: int) -> Trend | None:
    """Compares the newer with the older half of the trail. It rises or falls if the difference is
    a tenth of the share and more than three standard errors of two binomial counts; None where
    there is too little to compare."""
    if len(load.trail) < 4:
        return None
    rows = np.array([counts[layer] for counts in load.trail])
    older, newer = rows[: len(rows) // 2].sum(axis=0), rows[len(rows) // 2 :].sum(axis=0)
    n, m = int(older.sum()), int(newer.sum())
    if not (n and m):
        return None
    p, q = older[expert] / n, newer[expert] / m
    both = (older[expert] + newer[expert]) / (n + m)
    error = (both * (1 - both) * (1 / n + 1 / m)) ** 0.5
    clear = abs(q - p) > max(3 * error, 0.1 * max(p, q))
    return Trend(int(np.sign(q - p)) if clear else 0, float(p * rows.shape[1]))


def evenness(counts: npt.NDArray[Any]) -> float:
    """How many experts a layer uses in effect: e to the entropy of its shares, from counts [E].
    E if routing is even, 1 if one expert takes all; NaN without tokens."""
    total = counts.sum()
    if not total:
        return float("nan")
    part = counts[counts > 0] / total
    return float(np.exp(-(part * np.log(part)).sum()))


def by_column(
    steps: npt.NDArray[np.int64], values: npt.NDArray[Any], end: int, columns: int, mean: bool
) -> Floats:
    """Values [T, E] of windows that end after steps [T], summed (or averaged over those that are
    numbers) per equal part of the steps 1…end: [C, E]; NaN where there is no window."""
    experts = values.shape[1]
    part = np.clip((steps * columns - 1) // max(end, 1), 0, columns - 1)
    known = np.isfinite(values)
    total = np.zeros((columns, experts))
    found = np.zeros((columns, experts))
    np.add.at(total, part, np.where(known, values, 0))
    np.add.at(found, part, known)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(found > 0, total / found if mean else total, np.nan)
