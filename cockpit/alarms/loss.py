"""The loss is no number any more."""

from __future__ import annotations

from collections.abc import Sequence

from cockpit.alarms.rule import Check, Finding, Lasting, rule
from trainer.contract.config import Config
from trainer.contract.messages import Entry, Eval, Step

CALM = 10
"""Finite losses in a row after which it is over."""


@rule("loss-not-finite")
def loss_not_finite(_config: Config, raised: Sequence[Finding]) -> Check:
    """NaN or infinite, in a step or an evaluation; one is enough."""
    lasting = Lasting(1, CALM, held=bool(raised))
    since = raised[0].since if raised else None

    def check(entry: Entry) -> list[Finding] | None:
        nonlocal since
        if not isinstance(entry, (Step, Eval)):
            return None
        before = lasting.held
        if not lasting.see(entry.loss is None):
            return []
        if not before:
            since = entry.time
        text = f"the loss of step {entry.step} is not finite"
        return [Finding("critical", since=since, text=text)]

    return check
