"""From values to what a map shows of them: colour levels, figures and marks, calm ones.

Shapes: L layers, E experts. Noise must not flicker on the screen (and cost bytes), so levels,
figures and marks only change when a value has left them by some margin.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cockpit.loads import Counts, Floats, Kind, Load, Movement, over_median, shares

Levels = npt.NDArray[np.int64]
LEVELS = 16
PER_OCTAVE = 2.4
"""Levels per doubling: the 16 reach from an eighth to eight times the uniform share."""
HOT, COLD = 3.2, 0.5
"""From where on an expert gets a mark."""
MARGIN = 0.15
"""How far, as a part of the limit, a value must come back for the mark to go."""


class Mark(IntEnum):
    """What a cell says besides its colour."""

    NONE = 0
    COLD = 1
    HOT = 2
    DEAD = 3
    STUCK = 4
    """It got tokens and yet did not move."""
    UNKNOWN = 5


class Flag(NamedTuple):
    """An alarm that is raised for a cell, since when (Unix time)."""

    rule: str
    severity: str
    since: float | None = None


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


def marks(share: Floats, before: Levels | None = None) -> Levels:
    """The Mark of each share. Hot and cold ones keep theirs until they are clearly back."""
    hot, cold = share >= HOT, share < COLD
    if before is not None and before.shape == share.shape:
        hot |= (before == Mark.HOT) & (share >= HOT * (1 - MARGIN))
        cold |= (before == Mark.COLD) & (share < COLD * (1 + MARGIN))
    found = np.where(hot, int(Mark.HOT), np.where(cold, int(Mark.COLD), int(Mark.NONE)))
    found = np.where(share == 0, int(Mark.DEAD), found)
    return np.where(np.isnan(share), int(Mark.UNKNOWN), found)


@dataclass(frozen=True)
class Heat:
    """All that a map shows; every array is [L, E].

    share is relative to even (of norms: to their median), written is share as a figure, value is
    what was measured (tokens, or norms), got are tokens. layers are the decoder's numbers of the
    L. steps and tokens (a layer's) say over how much was counted, up to which step.
    """

    kind: Kind
    layers: list[int]
    share: Floats
    level: Levels
    written: Floats
    mark: Levels
    value: Floats
    got: Counts
    steps: int
    tokens: int
    step: int
    ends: tuple[int, int]
    """The experts with the smallest and the largest share, as layer × E + expert."""

    @property
    def shape(self) -> tuple[int, int]:
        """Layers, experts."""
        layers, experts = self.share.shape
        return layers, experts


def heat_of(source: Load | Movement, before: Heat | None = None) -> Heat:
    """What to show of counts or norms; before is what was shown of the window before, if any."""
    if isinstance(source, Load):
        share, value, got = shares(source.counts), source.counts.astype(float), source.counts
        tokens, kind = source.tokens, "experts"
    else:
        share, value, got = over_median(source.norms), source.norms, source.tokens
        tokens, kind = int(got.sum(axis=1).max()) if got.size else 0, "updates"
    if before is not None and before.kind != kind:
        before = None
    mark = marks(share, before.mark if before else None)
    if isinstance(source, Movement):
        mark = np.where((value == 0) & (got > 0), int(Mark.STUCK), mark)
    return Heat(
        "experts" if kind == "experts" else "updates",
        source.layers, share, levels(share, before.level if before else None),
        steady(share, before.written if before else None), mark, value, got,
        source.steps, tokens, source.step, extremes(share, before.ends if before else None),
    )  # fmt: skip


def extremes(share: Floats, before: tuple[int, int] | None = None) -> tuple[int, int]:
    """Where the smallest and the largest share are (flat). The ones from before stay until others
    are a twentieth beyond them."""
    low, high = np.nan_to_num(share, nan=np.inf).ravel(), np.nan_to_num(share, nan=-1.0).ravel()
    if not share.size:
        return 0, 0
    least, most = int(low.argmin()), int(high.argmax())
    if before is not None and max(before) < share.size:
        if low[before[0]] * 0.95 <= low[least]:
            least = before[0]
        if high[before[1]] * 1.05 >= high[most]:
            most = before[1]
    return least, most


def extreme(heat: Heat, most: bool) -> str:
    """The expert with the largest or smallest share: `L3 e7 2.1×`."""
    layer, expert = divmod(heat.ends[most], heat.shape[1])
    return f"L{heat.layers[layer]} e{expert} {heat.written[layer, expert]:.1f}×"
