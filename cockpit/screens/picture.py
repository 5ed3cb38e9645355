"""All that a dashboard draws of one run, folded from its entries. No Textual here."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from functools import cached_property

from cockpit import loads
from cockpit.figures import Figures
from cockpit.index.read import StepBlock
from cockpit.loads import Load, Movement, Window
from cockpit.runs import Run
from cockpit.screens.story import event_of, failure_text
from cockpit.series import Series
from cockpit.source import Source
from cockpit.state import RunState
from cockpit.widgets.heat_scale import Flag
from cockpit.widgets.render_alarms import Shown, badge, ordered
from cockpit.widgets.render_events import Event, Tone
from cockpit.widgets.render_header import Header
from cockpit.widgets.units import clock, span
from trainer.contract import messages
from trainer.contract.messages import Entry, Experts, Step, Updates

EVENTS = 2000
THIN = 512
"""In a batch longer than this only the newest figures of each kind go through the state."""
TICKING = ("starting", "loading", "restarting")
"""States in which time is all there is to show."""


class _Counted:
    """One `experts` entry; it becomes arrays, which are smaller, once it is looked at."""

    def __init__(self, entry: Experts) -> None:
        self._entry: Experts | None = entry

    @cached_property
    def window(self) -> Window:
        """The arrays."""
        assert self._entry is not None
        window, self._entry = loads.window_of(self._entry), None
        return window


class Picture:
    """The state, the series, the events and the expert counts of a run."""

    def __init__(self, run: Run, readonly: bool = False) -> None:
        self._run, self._readonly = run, readonly
        self.state = RunState()
        self.series = Series()
        self.figures = Figures()
        self.source = Source(run.id, run.name, self.series, self.figures)
        self.events: deque[Event] = deque(maxlen=EVENTS)
        self._windows: deque[_Counted] = deque(maxlen=loads.MOST_WINDOWS)
        self._updates: deque[Updates] = deque(maxlen=loads.TRAIL)
        self._failure: messages.Failure | None = None

    def begin(self, blocks: Iterable[StepBlock], entries: list[Entry]) -> None:
        """Take in the history of a long run before anything else: its steps from the index, and
        of its entries a selection, in their order, that tells how it stands."""
        self._count(entries)
        self.figures.begin(entries)
        self._tell(entries)
        self.fill(blocks)

    def fill(self, blocks: Iterable[StepBlock]) -> None:
        """Put older steps before those that are known."""
        for block in blocks:
            self.series.fill(block, block.rewinds)

    def recall(self, entries: Iterable[Entry]) -> None:
        """Put what happened earlier, in its order, before the events that are known."""
        older = [event for entry in entries if (event := event_of(entry)) is not None]
        while older and self.events and self.events[0].time <= older[-1].time:
            self.events.popleft()  # of the journal's beginning, and among the older ones too
        room = EVENTS - len(self.events)
        self.events.extendleft(older[: -room - 1 : -1] if room else ())

    def apply(self, entries: list[Entry]) -> list[Entry]:
        """Take in a batch; returns what of it was new."""
        known = self.state.seq
        fresh = [entry for entry in entries if not 0 < entry.seq <= known]
        self._grow(fresh)
        self._count(fresh)
        self.figures.take(fresh)
        self._tell(_thinned(fresh))
        return fresh

    def _tell(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            self.state.apply(entry)
            if isinstance(entry, messages.Failure):
                self._failure = entry
            elif isinstance(entry, Step):
                self._failure = None
            if (event := event_of(entry)) is not None:
                self.events.append(event)
        self.source.total = self.state.steps

    def _grow(self, entries: Iterable[Entry]) -> None:
        steps: list[Step] = []
        for entry in entries:
            if isinstance(entry, Step):
                steps.append(entry)
            elif isinstance(entry, messages.Hello) and entry.attempt > 1:
                self.series.extend(steps)
                steps = []
                self.series.rewind(entry.step)
        self.series.extend(steps)

    def _count(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            if isinstance(entry, Experts):
                self._windows.append(_Counted(entry))
            elif isinstance(entry, Updates):
                self._updates.append(entry)
            elif isinstance(entry, messages.Hello) and entry.attempt > 1:
                self._windows.clear()
                self._updates.clear()

    def load(self) -> Load | None:
        """The newest expert counts, summed over as many windows as it takes for them to mean
        something; None while there are none."""
        return loads.gather(counted.window for counted in reversed(self._windows))

    def movement(self) -> Movement | None:
        """The newest update norms; None while there are none."""
        return loads.movement_of(self._updates[-1], self._updates) if self._updates else None

    def flags(self) -> dict[tuple[int | None, int | None], list[Flag]]:
        """The alarms that are raised, by decoder layer and expert."""
        found: dict[tuple[int | None, int | None], list[Flag]] = {}
        for (rule, layer, expert), alarm in self.state.alarms.raised.items():
            flag = Flag(rule, alarm.severity, alarm.since or alarm.time or None)
            found.setdefault((layer, expert), []).append(flag)
        return found

    def alarms(self) -> list[Shown]:
        """The alarms that are raised, the worst first."""
        board = self.state.alarms
        return ordered(
            [Shown(alarm, board.seen.get(key, "")) for key, alarm in board.raised.items()]
        )

    def awaits(self, now: float) -> str:
        """What an empty panel waits for."""
        state = self.state
        if state.over:
            return "this run made no step"
        if state.state in TICKING:
            detail = f": {state.detail}" if state.detail and state.state == "loading" else ""
            return f"{self._doing()}{detail}, {self._elapsed(now)}"
        return "waiting for the first step"

    def _doing(self) -> str:
        if self.state.state == "loading":
            return "loading the model"
        return "starting the processes" if self.state.state == "starting" else "restarting"

    def _elapsed(self, now: float) -> str:
        since = self.state.since
        return span(max(now - since, 0)) if since is not None else "0 s"

    def header(self, now: float, link: str = "") -> Header:
        """The header's values; link is what is wrong with the connection."""
        state = self.state
        moving = state.state in ("training", "checkpointing", "evaluating")
        step = state.step
        if state.state in TICKING and state.last_checkpoint is not None:
            step = max(step, state.last_checkpoint.step)  # what it will go on from
        return Header(
            name=self._run.name, preset=self._run.preset, state=state.state,
            waits=self._waits(now), step=step, steps=state.steps, loss=state.loss,
            lr=state.lr, tokens_per_second=state.tokens_per_second if moving else None,
            seconds_per_step=state.seconds_per_step, eta=state.eta_seconds if moving else None,
            attempt=state.attempt, restarts_left=state.restarts_left, readonly=self._readonly,
            alarm=badge(self.alarms(), state.over), notice=self._notice(link),
        )  # fmt: skip

    def _waits(self, now: float) -> str:
        state = self.state
        if state.state in ("starting", "loading"):
            return self._elapsed(now)
        if state.state == "restarting":
            left = "" if state.restarts_left is None else f"({state.restarts_left} left) "
            return f"{left}{self._elapsed(now)}"
        if state.since is None or state.state in ("training", "evaluating", "checkpointing"):
            return ""
        return f"since {clock(state.since, seconds=False)}"

    def _notice(self, link: str) -> tuple[Tone, str] | None:
        state = self.state
        if state.state == "lost":
            return "bad", (
                "its processes are gone and nobody looks after it; "
                "press r to go on from the newest good checkpoint"
            )
        if link and not state.over:
            return "warning", link
        if self._failure is not None:
            return "bad", f"{failure_text(self._failure)} — {self._failure.advice}"
        if state.state == "failed":
            return "bad", f"{state.detail}; press r to go on from the newest good checkpoint"
        return None


def _thinned(entries: list[Entry]) -> list[Entry]:
    """The entries without figures that later ones of the same batch supersede."""
    if len(entries) <= THIN:
        return entries
    last = len(entries) - THIN // 2
    kinds = (Step, messages.Memory, messages.System, Experts, Updates)
    return [e for n, e in enumerate(entries) if n >= last or not isinstance(e, kinds)]
