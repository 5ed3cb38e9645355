"""The keys of a run: orders, knobs, alarms, and who has the controls."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message

from cockpit import knobs
from cockpit.client import NoSupervisor, new_id
from cockpit.ringing import Bell
from cockpit.runs import Run
from cockpit.screens.feed import Feed, Link
from cockpit.screens.helm import Helm
from cockpit.screens.orders import Orders
from cockpit.screens.painted import Painted
from cockpit.screens.picture import TICKING, Picture
from cockpit.widgets.render_events import Tone
from trainer.contract.config import ConfigError
from trainer.contract.messages import (
    Alarm,
    AnyOrder,
    Controls,
    Entry,
    Pause,
    Resume,
    SaveCheckpoint,
    Set,
    Stop,
)

READONLY = "read only: opened with --readonly, so no commands from here"


class Commanding(Painted[None]):
    """Gives a run orders, and says what became of them. Subclasses draw."""

    class Ring(Message):
        """An alarm was raised that people should hear."""

        def __init__(self, title: str, text: str) -> None:
            super().__init__()
            self.title, self.text = title, text

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "pause", "Pause or continue", id="pause"),
        Binding("c", "checkpoint", "Write a checkpoint", id="checkpoint"),
        Binding("r", "resume", "Resume or restart", id="resume"),
        Binding("s", "stop", "Stop (asks)", id="stop"),
        Binding("d,q", "app.detach", "Detach: the run goes on", id="detach"),
        Binding("a", "alarms", "Alarms: list, acknowledge, mute", id="alarms"),
        Binding("t", "logs", "Trainer's log: follow, search, failures and alarms", id="log"),
        Binding("v", "knobs", "Live knobs: learning rate, balance, logging", id="knobs"),
        Binding("w", "controls(False)", "Ask for the controls, or give them", id="controls"),
        Binding("W", "controls(True)", "Keep the controls", id="keep controls"),
    ]

    def __init__(self, run: Run, readonly: bool) -> None:
        super().__init__()
        self.run = run
        self.picture = Picture(run, readonly)
        self._readonly = readonly
        self._orders, self._helm, self._bell = Orders(), Helm(), Bell()
        self._feed = Feed(run, self.picture, self._changed, self._linked, readonly)
        self._feed.on_controls = self._controlled

    # --- for subclasses -----------------------------------------------------------------

    def _changed(self, entries: list[Entry]) -> None:
        """There are new entries."""
        raise NotImplementedError

    def _linked(self, link: Link) -> None:
        """The connection changed."""
        raise NotImplementedError

    def _soon(self) -> None:
        """Draw before long."""
        raise NotImplementedError

    def _show_status(self) -> None:
        """Draw the line about commands."""
        raise NotImplementedError

    def show_step(self, step: int) -> None:
        """Show a step in the charts."""
        raise NotImplementedError

    # --- commands ------------------------------------------------------------------------

    def action_pause(self) -> None:
        """Pause; if it is paused or about to be, continue."""
        if self.picture.state.state == "paused" or self._orders.under_way("pause"):
            self._order("resume", Resume(id=new_id()))
        else:
            self._order("pause", Pause(id=new_id()))

    def action_checkpoint(self) -> None:
        """Write a checkpoint at the next step boundary."""
        self._order("checkpoint", SaveCheckpoint(id=new_id()))

    def action_resume(self) -> None:
        """Un-pause; or start a run that is over again, from its newest good checkpoint."""
        state = self.picture.state
        if state.state == "done":
            self._say(f"this run is done: all {state.steps} steps are made")
        elif state.over:
            self._command("resume", new_id(), self._restart)
        elif state.state == "paused" or self._orders.under_way("pause"):
            self._order("resume", Resume(id=new_id()))
        else:
            self._say(f"nothing to resume: the run is {state.state}")

    def action_stop(self) -> None:
        """Ask how, then stop."""
        if self._held_back() or self.picture.state.over:
            self._order("stop", Stop(id=new_id()))
            return
        from cockpit.screens.ask import Ask, stop_question  # noqa: PLC0415 - seldom wanted

        def answered(answer: str | None) -> None:
            if answer in ("save", "leave"):
                self._order("stop", Stop(id=new_id(), checkpoint=answer == "save"))

        self.app.push_screen(Ask(*stop_question(self.run.name)), answered)

    def action_knobs(self) -> None:
        """Ask for a knob and its value, then set it."""
        state = self.picture.state
        if self._held_back() or state.over:
            self._order("set", Set(id=new_id(), key="", value=0.0))
            return
        from cockpit.screens.knob_dialog import KnobDialog  # noqa: PLC0415 - seldom wanted

        try:
            config = self.run.config()
        except ConfigError:
            config = None
        now = {knob.key: knobs.value(knob, config, state.knobs.turned) for knob in knobs.KNOBS}

        def answered(answer: tuple[str, float] | None) -> None:
            if answer is not None:
                self._order("set", Set(id=new_id(), key=answer[0], value=answer[1]))

        self.app.push_screen(KnobDialog(now, state.lr), answered)

    def _held_back(self) -> str:
        """Why no order can be given from here; "" if it can."""
        return READONLY if self._readonly else "" if self._helm.ours else self._helm.refusal()

    def _order(self, name: str, order: AnyOrder) -> None:
        if self.picture.state.over and not self._held_back():
            state = self.picture.state.state
            again = "" if state == "done" else "; r starts it again"
            self._say(f"{name}: nothing runs, the run is {state}{again}")
            return

        async def send() -> None:
            await self._feed.send(order)

        self._command(name, order.id, send)

    async def _restart(self) -> None:
        await self._feed.restart()

    def _command(self, name: str, order_id: str, do: Callable[[], Awaitable[Any]]) -> None:
        """Say that it was sent, then send it: the line is on screen before anything can wait."""
        if reason := self._held_back():
            self._say(reason)
            return

        async def send() -> None:
            try:
                await do()
            except (NoSupervisor, OSError) as error:
                self._orders.failed(order_id, str(error))
                self._show_status()

        self._orders.sent(order_id, name, self.picture.state.state in TICKING)
        self._show_status()
        self.run_worker(send())

    def _say(self, text: str, tone: Tone = "warning") -> None:
        self._orders.say(tone, text)
        self._show_status()

    # --- alarms and controls -------------------------------------------------------------

    def action_alarms(self) -> None:
        """The list of alarms."""
        from cockpit.screens.alarm_list import AlarmList  # noqa: PLC0415 - seldom wanted

        self.app.push_screen(
            AlarmList(
                self.picture.alarms, self._acknowledge,
                lambda alarm: self.show_log(alarm.time), lambda alarm: self.show_step(alarm.step),
            )
        )  # fmt: skip

    def action_logs(self) -> None:
        """What the ranks printed."""
        self.show_log()

    def show_log(self, at: float | None = None) -> None:
        """The trainer's log: its end, or the lines of the failure or alarm of that time."""
        from cockpit.screens.logs import Logs  # noqa: PLC0415 - seldom wanted

        self.app.push_screen(Logs(self.run, at, self.show_step))

    def _acknowledge(self, seen: Sequence[Alarm]) -> None:
        if self._readonly:
            self._say(READONLY)
            return

        async def tell() -> None:
            for alarm in seen:
                await self._feed.acknowledge(alarm)

        self._attempt(tell, "not acknowledged")

    def action_controls(self, keep: bool) -> None:
        """Ask for the controls; or, asked for them, give or keep them."""
        if self._readonly:
            self._say(READONLY)
            return
        action, text = self._helm.key(keep)
        if text:
            self._say(text, "note")
        if action is not None:
            self._attempt(lambda: self._feed.control(action), "not asked")

    def _attempt(self, do: Callable[[], Awaitable[Any]], otherwise: str) -> None:
        async def attempt() -> None:
            try:
                await do()
            except (NoSupervisor, OSError) as error:
                self._say(f"{otherwise}: {error}")

        self.run_worker(attempt())

    def _hear(self, entries: list[Entry], now: float) -> None:
        """Ring for new alarms."""
        if text := self._bell.hear(entries, now):
            self.post_message(self.Ring(f"l4cockpit {self.run.name}", text))

    def _controlled(self, controls: Controls) -> None:
        if text := self._helm.hear(controls):
            self._say(text, "warning" if controls.asking else "note")
        self._soon()
