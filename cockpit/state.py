"""What a run is doing, folded from its journal: a pure function of the entries."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias

import msgspec

from cockpit import journal, runs
from cockpit.boards import AlarmBoard, KnobBoard
from cockpit.runs import Run
from trainer.contract import messages
from trainer.contract.messages import Entry

StateName: TypeAlias = Literal[
    "starting", "loading", "training", "evaluating", "checkpointing", "paused", "stopping",
    "restarting", "done", "stopped", "failed", "lost",
]  # fmt: skip
OVER: frozenset[StateName] = frozenset(("done", "stopped", "failed", "lost"))
"""Nothing runs any more."""

_PHASES: dict[str, StateName] = {
    "loading": "loading",
    "compiling": "loading",
    "training": "training",
    "evaluating": "evaluating",
    "checkpointing": "checkpointing",
    "paused": "paused",
    "stopping": "stopping",
    "done": "stopping",  # it is over when the supervisor says so
}
_STARTS_WITHIN = 20.0
"""Seconds that a new run may be without a supervisor."""
_WINDOW = 20
"""Steps over which speed is averaged."""


class SavedCheckpoint(NamedTuple):
    """The newest checkpoint that was written whole."""

    step: int
    path: str


class Recent(NamedTuple):
    """What the averages over the newest steps need of one."""

    tokens: int
    seconds: float
    split: dict[str, float]


class Pending(NamedTuple):
    """A command without its final answer yet."""

    name: str
    state: Literal["sent", "accepted"]


@dataclass
class RunState:
    """Everything a screen or a command says about a run at one moment. Times are Unix time."""

    state: StateName = "starting"
    detail: str = ""
    """What it is doing, or why it ended, for people."""
    seq: int = 0
    """Newest journal entry in here."""
    step: int = 0
    steps: int = 0
    loss: float | None = None
    lr: float | None = None
    tokens_per_second: float | None = None
    seconds_per_step: float | None = None
    eta_seconds: float | None = None
    attempt: int = 0
    restarts_left: int | None = None
    last_failure: messages.Failure | None = None
    last_checkpoint: SavedCheckpoint | None = None
    pending: dict[str, Pending] = field(default_factory=dict)
    hello: messages.Hello | None = None
    memory: dict[int, messages.Memory] = field(default_factory=dict)
    system: messages.System | None = None
    experts: messages.Experts | None = None
    alarms: AlarmBoard = field(default_factory=AlarmBoard)
    knobs: KnobBoard = field(default_factory=KnobBoard)
    started: float | None = None
    updated: float | None = None
    since: float | None = None
    """When `state` began."""
    _recent: deque[Recent] = field(default_factory=lambda: deque(maxlen=_WINDOW))

    @property
    def over(self) -> bool:
        """Whether nothing runs any more."""
        return self.state in OVER

    @property
    def step_split(self) -> dict[str, float]:
        """Mean seconds of a step by what they went into, over the newest steps; `rest` is what
        the trainer could not tell. Empty while there are none."""
        total: defaultdict[str, float] = defaultdict(float)
        for recent in self._recent:
            for name, seconds in recent.split.items():
                total[name] += seconds
            total["rest"] += max(recent.seconds - sum(recent.split.values()), 0.0)
        return {name: seconds / len(self._recent) for name, seconds in total.items() if seconds}

    def apply(self, entry: Entry) -> None:
        """Take in the next entry. One that is already in here (by its number) changes nothing."""
        if 0 < entry.seq <= self.seq:
            return
        self.seq = max(self.seq, entry.seq)
        if entry.time:
            self.updated = entry.time
            self.started = self.started or entry.time
        if handler := _HANDLERS.get(type(entry)):
            handler(self, entry)
        if type(entry) in _ON_BOARDS:
            self.alarms.apply(entry)
            self.knobs.apply(entry)
        self._estimate()

    def _become(self, state: StateName, detail: str) -> None:
        if state != self.state or self.since is None:
            self.since = self.updated
        self.state, self.detail = state, detail

    def _phase(self, entry: messages.Phase) -> None:
        if entry.phase != "loading":  # which checkpoint it will be is not known yet
            self.step = entry.step
        self._become(_PHASES.get(entry.phase, self.state), entry.detail)

    def _memory(self, entry: messages.Memory) -> None:
        self.memory[entry.rank] = entry

    def _system(self, entry: messages.System) -> None:
        self.system = entry

    def _experts(self, entry: messages.Experts) -> None:
        self.experts = entry

    def _command(self, entry: messages.Command) -> None:
        self.pending[entry.id] = Pending(entry.command, "sent")

    def _failure(self, entry: messages.Failure) -> None:
        self.last_failure = entry

    def _supervisor(self, entry: messages.Supervisor) -> None:
        if entry.state in ("started", "restarting"):
            self._become("starting" if entry.state == "started" else "restarting", entry.text)

    def _step(self, entry: messages.Step) -> None:
        if self.state in ("starting", "restarting", "loading"):
            self._become("training", "")
        self.step, self.loss, self.lr = entry.step, entry.loss, entry.lr
        self._recent.append(Recent(entry.tokens, entry.seconds, entry.split))
        seconds = sum(recent.seconds for recent in self._recent)
        self.seconds_per_step = seconds / len(self._recent)
        self.tokens_per_second = (
            sum(recent.tokens for recent in self._recent) / seconds if seconds > 0 else None
        )

    def _checkpoint(self, entry: messages.Checkpoint) -> None:
        if entry.state in ("saved", "restored"):
            self.last_checkpoint = SavedCheckpoint(entry.step, entry.path)
        bad = entry.state == "rejected"
        if bad and self.last_checkpoint and self.last_checkpoint.path == entry.path:
            self.last_checkpoint = None
        if entry.state == "restored":
            self.step = entry.step

    def _ack(self, entry: messages.Ack) -> None:
        if entry.state != "accepted":
            self.pending.pop(entry.id, None)
        elif entry.id in self.pending:
            self.pending[entry.id] = Pending(entry.command, "accepted")

    def _hello(self, entry: messages.Hello) -> None:
        self.hello = entry
        self.step, self.steps = entry.step, entry.steps
        if self.state in ("starting", "restarting"):
            self._become("loading", self.detail)

    def _launch(self, entry: messages.Launch) -> None:
        self.attempt, self.restarts_left = entry.attempt, entry.restarts_left
        self._recent.clear()
        self.memory.clear()
        self.tokens_per_second = self.seconds_per_step = None
        self._become("restarting" if self.state == "restarting" else "starting", entry.reason)

    def _end(self, entry: messages.End) -> None:
        self.step = entry.step
        self.pending.clear()
        self.tokens_per_second = None
        self._become(entry.state, entry.reason)

    def _estimate(self) -> None:
        known = self.seconds_per_step is not None and not self.over and self.steps > 0
        per_step = self.seconds_per_step or 0.0
        self.eta_seconds = per_step * max(0, self.steps - self.step) if known else None

    def as_json(self) -> dict[str, Any]:
        """Plain values for `--json`; the keys are stable."""
        failure, saved = self.last_failure, self.last_checkpoint
        return {
            "state": self.state,
            "detail": self.detail,
            "step": self.step,
            "steps": self.steps,
            "loss": self.loss,
            "lr": self.lr,
            "tokens_per_second": self.tokens_per_second,
            "seconds_per_step": self.seconds_per_step,
            "eta_seconds": self.eta_seconds,
            "attempt": self.attempt,
            "restarts_left": self.restarts_left,
            "last_failure": None if failure is None else msgspec.to_builtins(failure),
            "last_checkpoint": None if saved is None else saved._asdict(),
            "alarms": self.alarms.as_json(),
            "pending": {key: pending._asdict() for key, pending in self.pending.items()},
            "memory": [msgspec.to_builtins(self.memory[rank]) for rank in sorted(self.memory)],
            "system": None if self.system is None else msgspec.to_builtins(self.system),
            "started": self.started,
            "updated": self.updated,
            "since": self.since,
            "seq": self.seq,
        }


_HANDLERS: dict[type[Any], Callable[[RunState, Any], None]] = {
    messages.Hello: RunState._hello,
    messages.Phase: RunState._phase,
    messages.Step: RunState._step,
    messages.Memory: RunState._memory,
    messages.Experts: RunState._experts,
    messages.System: RunState._system,
    messages.Checkpoint: RunState._checkpoint,
    messages.Command: RunState._command,
    messages.Ack: RunState._ack,
    messages.Failure: RunState._failure,
    messages.Supervisor: RunState._supervisor,
    messages.Launch: RunState._launch,
    messages.End: RunState._end,
}

_ON_BOARDS = frozenset(
    (
        *(messages.Alarm, messages.Acknowledged, messages.Command, messages.Ack),
        *(messages.Checkpoint, messages.Launch, messages.End),
    )
)


def fold(entries: Iterable[Entry]) -> RunState:
    """The state after all these entries."""
    state = RunState()
    for entry in entries:
        state.apply(entry)
    return state


def current(run: Run) -> RunState:
    """The state of a run now. It is `lost` where the journal knows no end, yet neither its
    supervisor nor its trainer is alive on this host."""
    state = fold(journal.each(run.journal))
    if not state.over and is_lost(run):
        mark_lost(state)
    return state


def glance(run: Run) -> RunState:
    """Like `current`, from both ends of the journal alone: for lists of runs, where the middle of
    a long history does not matter."""
    state = fold(journal.read_ends(run.journal))
    if not state.over and is_lost(run):
        mark_lost(state)
    return state


def is_lost(run: Run) -> bool:
    """Whether nobody looks after a run any more and nothing of it runs. What another host does
    cannot be seen from here: then no."""
    info = runs.supervisor_info(run)
    if info is None:
        young = time.time() - run.created < _STARTS_WITHIN
        return run.host in ("", runs.this_host()) and not young
    return runs.is_here(info) and not runs.supervisor_alive(info) and not runs.trainer_alive(info)


def mark_lost(state: RunState) -> None:
    """Say of a state that its processes are gone."""
    state.state = "lost"
    state.detail = "its processes are gone; l4cockpit resume continues it"
    state.since, state.eta_seconds, state.tokens_per_second = state.updated, None, None
