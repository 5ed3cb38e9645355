"""The live knobs of a run: what they are, what they stand at, and what they may be set to.

The trainer has the last word: it acknowledges an order, or refuses it with the reason.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from cockpit.boards import Turned
from trainer.contract import config as configuration
from trainer.contract.config import Config


@dataclass(frozen=True)
class Knob:
    """One knob. start is its configuration key, or the value that it starts at; most is the
    largest value that makes sense."""

    key: str
    title: str
    meaning: str
    start: str | float
    least: float
    most: float
    whole: bool = False

    @property
    def range(self) -> str:
        """What it may be set to, for people."""
        kind = "a whole number" if self.whole else "a number"
        return f"{kind} from {self.least:g} to {self.most:g}"


KNOBS = (
    Knob("lr_scale", "learning-rate scale", "multiplies the schedule's learning rate", 1.0, 0, 100),
    Knob(
        "balance_coef", "balance coefficient", "weight of the routers' balance loss",
        "moe.balance_coef", 0, 1000,
    ),
    Knob(
        "log_every", "logging interval", "steps between samples of memory and expert counts",
        "log.every", 1, 100_000, whole=True,
    ),
)  # fmt: skip


def find(key: str) -> Knob | None:
    """The knob of this name."""
    return next((knob for knob in KNOBS if knob.key == key), None)


def value(knob: Knob, config: Config | None, turned: Iterable[Turned]) -> float | None:
    """What it stands at; None where that is not known from here."""
    now = _start(knob, config)
    for change in turned:
        if change.key == knob.key:
            now = change.value
    return now


def _start(knob: Knob, config: Config | None) -> float | None:
    if not isinstance(knob.start, str):
        return knob.start
    try:
        found = configuration.get(config, knob.start) if config is not None else None
    except AttributeError:  # this version's configuration has no such key
        return None
    return None if found is None else float(found)


def parse(knob: Knob, text: str) -> float:
    """The value that was typed. Raises ValueError; its text says what is wrong."""
    try:
        number = float(text.strip())
    except ValueError:
        raise ValueError(f"{text.strip() or 'nothing'} is not a number") from None
    fits = math.isfinite(number) and knob.least <= number <= knob.most
    if not fits or (knob.whole and number != int(number)):
        raise ValueError(f"{knob.key} must be {knob.range}")
    return number


def consequence(knob: Knob, new: float, lr: float | None, now: float | None) -> str:
    """What a value means for the run, where that can be said."""
    if knob.key == "lr_scale":
        if new == 0:
            return "nothing will be learnt until it is turned up again"
        if lr is not None and now:
            return f"learning rate now {lr:.3g}, then {lr / now * new:.3g}"
    if knob.key == "balance_coef" and new == 0:
        return "the routers will not be held to any balance"
    return ""
