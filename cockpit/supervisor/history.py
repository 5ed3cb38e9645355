"""What a supervisor must know of the run so far, folded from the journal: after a takeover it
goes on with exactly this."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from cockpit.state import RunState
from trainer.contract import messages
from trainer.contract.messages import AnyOrder, Entry


@dataclass
class History:
    """The run up to now."""

    state: RunState = field(default_factory=RunState)
    attempt: int = 0
    last_n: int = 0
    """Number of the trainer's newest message in this attempt."""
    phase: str = ""
    """The trainer's newest phase in this attempt."""
    stepped: bool = False
    """Whether this attempt has done a step."""
    barren: int = 0
    """Launches in a row, before this one, that did no step."""
    failures: list[messages.Failure] = field(default_factory=list)
    """Those that the trainer told in this attempt."""
    gone: list[int] = field(default_factory=list)
    """Ranks whose process has vanished in this attempt."""
    orders: dict[str, AnyOrder] = field(default_factory=dict)
    """Commands without a final answer."""
    stop: AnyOrder | None = None
    """The stop that was asked for in this attempt."""
    stopped: bool = False
    """Whether the trainer has followed a stop in this attempt, a signal's included."""
    paused: bool = False
    """Whether the trainer is to stay paused, whatever else it does meanwhile."""
    ended: bool = False
    _automatic: bool = False

    @property
    def ranks(self) -> list[messages.Rank]:
        """The trainer's processes, once it has said hello in this attempt."""
        hello = self.state.hello
        return [] if hello is None or hello.attempt != self.attempt else hello.ranks

    def apply(self, entry: Entry) -> None:
        """Take in the next entry."""
        self.state.apply(entry)
        if entry.n and entry.attempt == self.attempt:
            self.last_n = max(self.last_n, entry.n)
        match entry:
            case messages.Step():
                self.stepped, self.barren = True, 0
            case messages.Phase():
                self.phase = entry.phase
            case messages.Failure(n=n) if n:
                self.failures.append(entry)
            case messages.Command():
                self._command(entry)
            case messages.Ack():
                self._ack(entry)
            case messages.Supervisor(state="restarting"):
                self._automatic = True
            case messages.Launch():
                self._launch(entry)
            case messages.End():
                self.ended = True
                self.orders.clear()
                self.stop = None
            case _:
                pass

    def _command(self, entry: messages.Command) -> None:
        if (order := order_of(entry)) is None:
            return
        self.orders[order.id] = order
        if isinstance(order, messages.Stop):
            self.stop = order

    def _ack(self, entry: messages.Ack) -> None:
        if entry.state == "accepted":
            return
        self.orders.pop(entry.id, None)
        if entry.command == "stop" and entry.state == "done":
            self.stopped = True
        if entry.command in ("pause", "resume") and entry.state == "done":
            self.paused = entry.command == "pause"
        if entry.state == "refused" and self.stop is not None and self.stop.id == entry.id:
            self.stop = None

    def _launch(self, entry: messages.Launch) -> None:
        self.barren = self.barren + 1 if self._automatic and not self.stepped else 0
        self.attempt, self.last_n, self.phase = entry.attempt, 0, ""
        self.stepped = self.stopped = self.paused = self.ended = self._automatic = False
        self.failures, self.gone = [], []


def of(entries: Iterable[Entry]) -> History:
    """The history after all these entries."""
    history = History()
    for entry in entries:
        history.apply(entry)
    return history


def command_of(order: AnyOrder, by: str) -> messages.Command:
    """The journal entry of an order."""
    fields = msgspec.to_builtins(order)
    identifier, name = fields.pop("id"), fields.pop("type")
    return messages.Command(id=identifier, command=name, by=by, arguments=fields)


def order_of(entry: messages.Command) -> AnyOrder | None:
    """The order that a journal entry stands for; None for a request to the supervisor alone."""
    fields = {**entry.arguments, "id": entry.id, "type": entry.command}
    try:
        order: AnyOrder = msgspec.convert(fields, AnyOrder)
        return order
    except msgspec.ValidationError:
        return None
