"""Evaluates the rules over a run, and says what to write into the journal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeAlias

from cockpit.alarms.rule import RULES, SEVERITIES, Check, Finding, finding_of
from trainer.contract.config import Config
from trainer.contract.messages import Alarm, End, Entry

Place: TypeAlias = tuple[int | None, int | None]


class Watch:
    """The alarms of one run. raised: those that the journal knows already, so that a supervisor
    that takes over raises none twice.

    An alarm is known by its rule, layer and expert. Raised again, it has another severity. The
    end of a run ends its alarms without a word: they speak of a training that runs.
    """

    def __init__(self, config: Config, raised: Iterable[Alarm] = ()) -> None:
        self._config = config
        self._raised: dict[str, dict[Place, Alarm]] = {name: {} for name in RULES}
        for alarm in raised:
            self._raised.setdefault(alarm.rule, {})[alarm.layer, alarm.expert] = alarm
        self._checks: dict[str, Check] = {}
        self._arm()
        self._step = 0

    def _arm(self) -> None:
        for name, make in RULES.items():
            known = [finding_of(alarm) for alarm in self._raised[name].values()]
            self._checks[name] = make(self._config, known)

    def look(self, entry: Entry) -> list[Alarm]:
        """What the next entry of the journal (with its time) raises and clears."""
        if isinstance(entry, End):
            self._raised = {name: {} for name in RULES}
            self._arm()
            return []
        self._step = getattr(entry, "step", self._step)
        changes: list[Alarm] = []
        for name, check in self._checks.items():
            found = check(entry)
            if found is not None:
                changes += self._changes(name, list(found), entry.time)
        return changes

    def _changes(self, name: str, found: list[Finding], now: float) -> Iterator[Alarm]:
        raised = self._raised[name]
        places = {finding.place for finding in found}
        for place in [place for place in raised if place not in places]:
            yield self._alarm("cleared", name, finding_of(raised.pop(place)), now)
        for finding in sorted(found, key=lambda f: -SEVERITIES.index(f.severity)):
            known = raised.get(finding.place)
            if known is None or known.severity != finding.severity:
                alarm = self._alarm("raised", name, finding, now)
                raised[finding.place] = alarm
                yield alarm

    def _alarm(self, state: str, name: str, finding: Finding, now: float) -> Alarm:
        return Alarm(
            state=state,  # type: ignore[arg-type]
            rule=name,
            layer=finding.layer,
            expert=finding.expert,
            value=finding.value,
            step=self._step,
            severity=finding.severity,
            since=now if finding.since is None else finding.since,
            text=finding.text,
        )
