"""Experts that get far more or far fewer tokens than the others of their layer.

Shares are relative to the even one, so the same limits fit 16 experts and 128. A layer has at most
one alarm of each rule, about its worst expert: when a router collapses, one line says more than
127.

Shapes: T limits (note, warning, critical), L layers with experts, E experts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from cockpit.alarms.evidence import Dispersion, Evidence, Flags, Floats
from cockpit.alarms.rule import SEVERITIES, Check, Finding, rule
from trainer.contract.config import Config
from trainer.contract.messages import Entry, Experts, Launch

BACK = 0.1
"""How far inside a limit, relatively, a share must be again for the alarm to clear."""
ERROR = 1e-6
"""Chance, at each window, that any of all experts that lie exactly at a limit is taken to lie
beyond it. An even share lies far from the limits: see the tests for what that makes of it."""
CLEAR_ERROR = 1e-3
"""The same for an expert that is raised already and might be back."""


@rule("expert-overload")
def expert_overload(config: Config, raised: Sequence[Finding]) -> Check:
    """An expert gets far more than the even share."""
    return Imbalance(1, config, raised)


@rule("expert-starved")
def expert_starved(config: Config, raised: Sequence[Finding]) -> Check:
    """An expert gets far less than the even share, or nothing."""
    return Imbalance(-1, config, raised)


class Imbalance:
    """The check of one side: too much (direction 1) or too little (-1)."""

    def __init__(self, direction: int, config: Config, raised: Sequence[Finding] = ()) -> None:
        pairs = (config.alarms.note, config.alarms.warning, config.alarms.critical)
        self._direction = direction
        self._limits = np.array([pair[direction > 0] for pair in pairs])
        self._windows = config.alarms.windows
        self._known = list(raised)
        """Raised before the first window of this supervisor."""
        self._layers: list[int] = []
        self._shape = (0, 0)

    def __call__(self, entry: Entry) -> list[Finding] | None:
        """Findings after a window of expert counts. A new attempt of the trainer starts the
        evidence over, and leaves raised what is."""
        if isinstance(entry, Launch) and self._layers:
            self._start_over()
        if not isinstance(entry, Experts):
            return None
        try:
            counts_LE = np.asarray(entry.counts, np.float64).reshape(len(entry.layers), -1)
        except ValueError:
            return None  # the rows are no rectangle
        if not counts_LE.size or not counts_LE.sum(axis=1).all():
            return None
        if (entry.layers, counts_LE.shape) != (self._layers, self._shape):
            self.begin(entry.layers, counts_LE.shape)
        self.add(counts_LE, entry.time)
        return self._findings()

    def begin(self, layers: list[int], shape: tuple[int, ...]) -> None:
        """Counts are of these decoder layers from now on, shape [L, E]."""
        self._layers, self._shape = layers, (shape[0], shape[1])
        self.raised: Flags = np.zeros((len(SEVERITIES), *shape), np.bool_)
        """[T, L, E]: which limits count as passed."""
        self._since, self._value = np.zeros(self.raised.shape), np.zeros(self.raised.shape)
        self._told: dict[int, Finding] = {}  # by row of the counts
        self._patience: dict[int, int] = {}
        self._start_over()
        for finding in self._known:
            if finding.layer in layers and 0 <= (finding.expert or 0) < shape[1]:
                row = layers.index(finding.layer)
                place = slice(0, _level(finding)), row, finding.expert or 0
                self.raised[place] = True
                self._since[place], self._value[place] = finding.since or 0.0, finding.value or 0.0
                self._told[row] = finding
        self._known = []

    def _start_over(self) -> None:
        back = 1 - self._direction * BACK
        self._beyond = Evidence(self._limits, self._direction, self._shape)
        self._within = Evidence(self._limits * back, -self._direction, self._shape)
        self._dispersion = Dispersion()

    def add(self, counts_LE: Floats, time: float) -> None:
        """Take in a window: update `raised`."""
        even_L = counts_LE.sum(axis=1) / counts_LE.shape[1]
        noise_L = self._dispersion.add(counts_LE, even_L)
        self._beyond.add(counts_LE, even_L, noise_L, time, ~self.raised)
        tests = 2 * self.raised.size
        passed = self._beyond.settle(math.log(tests / ERROR), self._windows, noise_L)
        if self.raised.any():
            self._within.add(counts_LE, even_L, noise_L, time, self.raised)
            back = self._within.settle(-math.log(CLEAR_ERROR), self._windows, noise_L)
            for raised, (cells, _, _) in zip(self.raised, back, strict=True):
                raised.flat[cells] = False
        for limit, (cells, since, share) in enumerate(passed):
            for nearer in range(limit + 1):  # who passes a limit has passed those before it
                fresh = (nearer == limit) | ~self.raised[nearer].flat[cells]
                self.raised[nearer].flat[cells] = True
                self._since[nearer].flat[cells[fresh]] = since[fresh]
                self._value[nearer].flat[cells[fresh]] = share[fresh]

    # --- one alarm a layer ----------------------------------------------------------------

    def _findings(self) -> list[Finding]:
        numbers = np.arange(1, len(SEVERITIES) + 1)[:, None, None]
        passed_LE = (self.raised * numbers).max(axis=0)
        rows = np.flatnonzero(passed_LE.any(axis=1)).tolist()
        self._told = {row: self._worst(row, passed_LE[row]) for row in rows}
        return list(self._told.values())

    def _worst(self, row: int, passed_E: npt.NDArray[np.int64]) -> Finding:
        """The alarm of a layer: about its worst expert, or the one that it was about before while
        none is worse. When that one is back, those that are on their way back need not be named,
        and the others not at once."""
        told = self._told.get(row)
        level = int(passed_E.max())
        worst = np.flatnonzero(passed_E == level)
        if told is not None and told.expert in worst:
            named = int(told.expert or 0)
        elif told is not None and level <= _level(told) and self._waits(row, level, worst):
            return told
        else:
            values = self._value[level - 1, row, worst] * self._direction
            named = int(worst[np.argmax(values)])
        self._patience.pop(row, None)
        return self._finding(level - 1, row, named, len(worst))

    def _waits(self, row: int, level: int, worst: npt.NDArray[np.int64]) -> bool:
        if self._within.leaning(level - 1)[row, worst].all():
            return True
        self._patience[row] = self._patience.get(row, self._windows) - 1
        return self._patience[row] >= 0

    def _finding(self, limit: int, row: int, expert: int, alike: int) -> Finding:
        place = limit, row, expert
        share, layer, experts = float(self._value[place]), self._layers[row], self._shape[1]
        bound = "above" if self._direction > 0 else "below"
        what = f"is {bound} {self._limits[limit]:g}× the even share"
        if self._direction < 0 and SEVERITIES[limit] == "critical":
            what = "is dead"
        text = f"layer {layer} expert {expert} {what}, at {share:.3g}×"
        text += f"; {alike} of {experts} experts like it" if alike > 1 else ""
        return Finding(
            SEVERITIES[limit], layer, expert, share, since=float(self._since[place]), text=text
        )


def _level(finding: Finding) -> int:
    """How many limits it has passed."""
    return SEVERITIES.index(finding.severity) + 1
