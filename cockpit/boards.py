"""Parts of a run's state that are folded from few kinds of entries: alarms and live knobs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import msgspec

from trainer.contract.messages import (
    Ack,
    Acknowledged,
    Alarm,
    Checkpoint,
    Command,
    End,
    Entry,
    Launch,
)

AlarmKey: TypeAlias = tuple[str, int | None, int | None]
"""Rule, layer, expert."""


def key_of(alarm: Alarm | Acknowledged) -> AlarmKey:
    """What an alarm is known by."""
    return alarm.rule, alarm.layer, alarm.expert


@dataclass
class AlarmBoard:
    """The alarms that are raised; after the end of the run, those that were."""

    raised: dict[AlarmKey, Alarm] = field(default_factory=dict)
    seen: dict[AlarmKey, str] = field(default_factory=dict)
    """Which of them were acknowledged, and by whom."""
    _over: bool = False

    def apply(self, entry: Entry) -> None:
        """Take in the next entry."""
        match entry:
            case Alarm():
                self.seen.pop(key_of(entry), None)
                self.raised.pop(key_of(entry), None)
                if entry.state == "raised":
                    self.raised[key_of(entry)] = entry
            case Acknowledged() if key_of(entry) in self.raised:
                self.seen.setdefault(key_of(entry), entry.by)
            case End():
                self._over = True
            case Launch() if self._over:
                self._over = False
                self.raised.clear()
                self.seen.clear()
            case _:
                pass

    def as_json(self) -> list[dict[str, Any]]:
        """Plain values for `--json`."""
        return [
            {
                **msgspec.to_builtins(alarm),
                "severity": alarm.severity,  # the default would be left out
                "acknowledged_by": self.seen.get(key),
            }
            for key, alarm in self.raised.items()
        ]


class Turned(NamedTuple):
    """A live knob that was turned after a step."""

    step: int
    key: str
    value: float


@dataclass
class KnobBoard:
    """Which live knobs were turned, in order. A checkpoint restores them as they were then."""

    turned: list[Turned] = field(default_factory=list)
    _sent: dict[str, tuple[str, float]] = field(default_factory=dict)

    def apply(self, entry: Entry) -> None:
        """Take in the next entry."""
        match entry:
            case Command(command="set", arguments={"key": str(key), "value": float() | int() as v}):
                self._sent[entry.id] = key, float(v)
            case Ack(state="done" | "refused") if knob := self._sent.pop(entry.id, None):
                if entry.state == "done":
                    self.turned.append(Turned(entry.step, *knob))
            case Checkpoint(state="restored"):
                self.turned = [turned for turned in self.turned if turned.step <= entry.step]
            case Launch(checkpoint=None):
                self.turned = []
            case _:
                pass
