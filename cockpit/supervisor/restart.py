"""Whether a failed run is started again: a pure decision."""

from __future__ import annotations

from dataclasses import dataclass

FIRST_DELAY = 1.0
LONGEST_DELAY = 60.0
BARREN_LIMIT = 2
"""Launches in a row without a single step, after which a failure is sure to repeat."""
HOPELESS = frozenset(("configuration", "not-installed", "no-good-checkpoint"))
"""Kinds of failure that another start cannot mend."""


@dataclass(frozen=True)
class Decision:
    """restart after delay seconds, or not; reason is for people."""

    restart: bool
    delay: float
    reason: str


def decide(kind: str, barren: int, left: int, allowed: int) -> Decision:
    """What to do after a failure of a kind. barren counts the launches in a row, this one
    included, that did no step; left of allowed automatic restarts remain."""
    if kind in HOPELESS:
        return Decision(False, 0.0, "starting it again would end the same way")
    if barren >= BARREN_LIMIT:
        return Decision(False, 0.0, f"it failed {barren} times in a row before any step")
    if left <= 0:
        spent = "restart.max is 0" if allowed == 0 else f"all {allowed} restarts are used up"
        return Decision(False, 0.0, spent)
    delay = min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** max(0, allowed - left))
    return Decision(True, delay, f"{left - 1} of {allowed} restarts left after this one")
