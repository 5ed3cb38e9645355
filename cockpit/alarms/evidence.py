"""Sequential evidence that an expert's share of tokens lies beyond a limit.

Windows are added up for as long as it takes. For each limit and expert a CUSUM (Page 1954) of the
log likelihood ratio between a share just beyond the limit and the limit itself says where the
stretch of windows begins in which the share seems to be beyond it. Over that stretch, with c
tokens where the limit would have brought m, the chance of seeing this much or more at the limit
is at most exp(-(c ln(c / m) - c + m)): the Chernoff bound of a Poisson variable, which holds for
the binomial too. The exponent is the evidence, in nats.

Tokens are not independent: those of a document go similar ways. So the exponent is divided by the
dispersion, the variance between successive windows relative to a Poisson variable's
(quasi-likelihood, Wedderburn 1974); a window counts for twice its limit at the most; and some
windows must each lie beyond the limit.

Shapes: T limits, L layers with experts, E experts.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
Flags: TypeAlias = npt.NDArray[np.bool_]

_BEYOND = 0.06
"""How far beyond its limit, relatively, the CUSUM's alternative lies: shares half as far beyond
are found, sooner or later; nearer ones are not."""
_MOST = 2.0
"""A window counts for this many times its limit at the most."""
_REMEMBERED = 15
"""Windows whose dispersion is remembered. Their median counts: a sudden change in the routing,
which is one odd value, does not pass for noise."""
_TINY = 1e-9


class _Limit:
    """The evidence about one limit, for shares above it (direction 1) or below (-1)."""

    def __init__(self, limit: float, direction: int, shape: tuple[int, int]) -> None:
        self._limit, self._direction = min(limit, 1e30), direction
        self._per_token = np.log1p(direction * _BEYOND)
        self._per_due = direction * _BEYOND
        self._turning = self._limit * self._per_due / self._per_token
        """The share from which on a window speaks for `beyond`."""
        self._totals = np.zeros((6, *shape)).reshape(6, -1)
        self._score, self._got, self._due, self._true, self._even, self._seen = self._totals
        self._experts = shape[1]
        self.began = np.zeros(self._score.shape)
        self._open = np.zeros(0, np.int64)
        """The cells in a stretch."""

    def add(
        self, share: Floats, even_L: Floats, noise_L: Floats, time: float, among: Flags
    ) -> None:
        beyond = among & ((share - self._turning) * self._direction > 0)
        if len(self._open):
            self._totals[:, self._open[~among[self._open]]] = 0
            beyond |= self._score > 0
        cells = np.flatnonzero(beyond)
        if not len(cells):
            self._open = cells
            return
        layer = cells // self._experts
        even = even_L[layer]
        due, true = self._limit * even, share[cells] * even
        got = np.minimum(true, _MOST * due) if self._direction > 0 else true
        gain = (got * self._per_token - due * self._per_due) / noise_L[layer]
        totals = self._totals[:, cells]
        fresh = totals[0] == 0
        totals += np.stack([gain, got, due, true, even, (got - due) * self._direction > 0])
        totals[:, totals[0] <= 0] = 0
        self._totals[:, cells] = totals
        self._open = cells[totals[0] > 0]
        self.began[cells[fresh]] = time

    @property
    def leaning(self) -> Flags:
        return self._score > 0

    def strong(self, nats: float, windows: int, noise_L: Floats) -> npt.NDArray[np.int64]:
        """The cells where the evidence has this size, and so many windows lie beyond."""
        cells = self._open[self._seen[self._open] >= windows]
        if not len(cells):
            return cells
        got, due = self._got[cells], self._due[cells]
        exponent = got * np.log(np.maximum(got, _TINY) / due) - got + due
        enough = exponent >= nats * noise_L[cells // self._experts]
        return cells[enough & ((got - due) * self._direction > 0)]

    def share(self, cells: npt.NDArray[np.int64]) -> Floats:
        """The share over the present stretch."""
        shares: Floats = self._true[cells] / self._even[cells]
        return shares

    def forget(self, cells: npt.NDArray[np.int64]) -> None:
        """Start over in some cells."""
        if len(cells):
            self._totals[:, cells] = 0
            self._open = np.flatnonzero(self._score > 0)


class Evidence:
    """For some limits, all above or all below. even_L is what an expert of a layer would get in a
    window if all got the same: the row's tokens / E."""

    def __init__(self, limits: Floats, direction: int, shape: tuple[int, int]) -> None:
        self._shape = shape
        self._limits = [_Limit(float(limit), direction, shape) for limit in limits]

    def add(
        self, counts_LE: Floats, even_L: Floats, noise_L: Floats, time: float, among: Flags
    ) -> None:
        """Take in a window; only the cells of `among` [T, L, E] count, others start over."""
        share = (counts_LE / even_L[:, None]).ravel()
        for limit, cells in zip(self._limits, among, strict=True):
            limit.add(share, even_L, noise_L, time, cells.ravel())

    def leaning(self, limit: int) -> Flags:
        """[L, E]: the cells that are in a stretch, on their way beyond this limit."""
        return self._limits[limit].leaning.reshape(self._shape)

    def settle(
        self, nats: float, windows: int, noise_L: Floats
    ) -> list[tuple[npt.NDArray[np.int64], Floats, Floats]]:
        """For each limit: the cells (flat) whose evidence has this size over so many windows, when
        their stretch began and their share in it. These start over."""
        settled = []
        for limit in self._limits:
            cells = limit.strong(nats, windows, noise_L)
            settled.append((cells, limit.began[cells], limit.share(cells)))
            limit.forget(cells)
        return settled


class Dispersion:
    """How much more than a Poisson variable's the counts vary from window to window."""

    def __init__(self) -> None:
        self._before: tuple[Floats, Floats] | None = None
        self._seen: list[Floats] = []

    def add(self, counts_LE: Floats, even_L: Floats) -> Floats:
        """Take in a window; the dispersion per layer [L], 1 at the least."""
        if self._before is not None:
            self._seen = [*self._seen[1 - _REMEMBERED :], _differ(*self._before, counts_LE, even_L)]
        self._before = counts_LE, even_L
        if not self._seen:
            return np.ones(len(even_L))
        middle: Floats = np.sort(self._seen, axis=0)[len(self._seen) // 2]
        return np.maximum(middle, 1.0)


def _differ(one_LE: Floats, one_L: Floats, two_LE: Floats, two_L: Floats) -> Floats:
    """The squared differences of two windows' shares over what Poisson counts would bring,
    averaged over the experts."""
    difference = one_LE / one_L[:, None] - two_LE / two_L[:, None]
    expected = np.maximum(one_LE + two_LE, _TINY)
    averages: Floats = (difference * difference / expected).mean(axis=1) * (one_L * two_L)
    return averages
