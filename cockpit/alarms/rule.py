"""What a rule of alarms is, and the list of all rules."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from trainer.contract.config import Config
from trainer.contract.messages import Alarm, Entry

Severity: TypeAlias = Literal["note", "warning", "critical"]
SEVERITIES: tuple[Severity, ...] = ("note", "warning", "critical")
"""From the least to the worst."""


@dataclass(frozen=True)
class Finding:
    """Something that holds. layer and expert say where, since when it began (Unix time, None:
    with this entry); text is a sentence for people."""

    severity: Severity
    layer: int | None = None
    expert: int | None = None
    value: float | None = field(default=None, compare=False)
    since: float | None = field(default=None, compare=False)
    text: str = field(default="", compare=False)

    @property
    def place(self) -> tuple[int | None, int | None]:
        """Layer and expert."""
        return self.layer, self.expert


Check: TypeAlias = Callable[[Entry], Iterable[Finding] | None]
"""Called with every entry: None if that says nothing to the rule, else all that holds now."""
Rule: TypeAlias = Callable[[Config, Sequence[Finding]], Check]
"""Makes a check, from the run's configuration and what is raised already."""

RULES: dict[str, Rule] = {}


def rule(name: str) -> Callable[[Rule], Rule]:
    """Register a rule. Its name stands in the journal and should stay."""

    def register(make: Rule) -> Rule:
        assert name not in RULES
        RULES[name] = make
        return make

    return register


def finding_of(alarm: Alarm) -> Finding:
    """What a raised alarm said."""
    return Finding(alarm.severity, alarm.layer, alarm.expert, alarm.value, alarm.since, alarm.text)


class Lasting:
    """For rules about one condition: it must hold `raise_after` times in a row to count, and
    then fail `clear_after` times in a row to count no more."""

    def __init__(self, raise_after: int, clear_after: int, held: bool = False) -> None:
        self._after = {False: raise_after, True: clear_after}
        self.held = held
        self._against = 0

    def see(self, holds: bool) -> bool:
        """Take in whether it holds now; whether it counts."""
        self._against = self._against + 1 if holds != self.held else 0
        if self._against >= self._after[self.held]:
            self.held, self._against = holds, 0
        return self.held
