"""Following a run in plain lines, where there is no terminal or none is wanted."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterable

from cockpit import client, journal
from cockpit.client import Client, NoSupervisor
from cockpit.commands.output import DONE, FAILED, INTERRUPTED, say, tell
from cockpit.commands.wording import event, progress
from cockpit.runs import Run
from cockpit.state import RunState
from trainer.contract import messages
from trainer.contract.messages import Entry

_EVERY = 1.0
_SILENT = (messages.Command, messages.Supervisor)
_TOLD = ("took-over", "restarting")


def follow(run: Run) -> int:
    """Print a run until it is over; the exit code. An interrupt asks it to checkpoint and stop, a
    second one leaves it to that."""
    say(f"run {run.name} in {run.path}")
    return asyncio.run(_Follower(run).follow())


class _Follower:
    def __init__(self, run: Run) -> None:
        self._run = run
        self._state = RunState()
        self._end: messages.End | None = None
        self._printed_at = 0.0
        self._printed_step = 0
        self._interrupts = 0
        self._interrupted = asyncio.Event()

    async def follow(self) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._interrupt)
        following = asyncio.create_task(self._until_over())
        stopping = asyncio.create_task(self._stop_when_interrupted())
        await asyncio.wait((following, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not following.done():
            following.cancel()
            tell(f"{self._run.name} is left to stop by itself; l4cockpit attach shows it")
            return INTERRUPTED
        following.result()
        if self._interrupts:
            return INTERRUPTED
        return DONE if self._end is not None and self._end.state != "failed" else FAILED

    def _interrupt(self) -> None:
        self._interrupts += 1
        self._interrupted.set()

    async def _stop_when_interrupted(self) -> None:
        """Returns at the second interrupt."""
        await self._interrupted.wait()
        self._interrupted.clear()
        tell("asking the run to checkpoint and stop; once more leaves it to that")
        while not await self._sent_stop():
            if self._interrupts > 1:
                return
            await asyncio.sleep(0.3)
        while self._interrupts < 2:
            await self._interrupted.wait()
            self._interrupted.clear()

    async def _sent_stop(self) -> bool:
        try:
            await client.ensure_supervisor(self._run)
            connection = await Client.connect(self._run, None, _name())
            await connection.send(messages.Stop(id=client.new_id()))
            await connection.close()
        except NoSupervisor:
            return False
        return True

    async def _until_over(self) -> None:
        while self._end is None:
            try:
                connection = await Client.connect(self._run, self._state.seq, _name())
                async for entries in connection.batches():
                    self._take(entries)
                await connection.close()
            except NoSupervisor:
                await asyncio.sleep(0.3)
            if self._end is None:
                self._take(journal.each(self._run.journal))
            if self._end is None:
                await self._call_supervisor()

    async def _call_supervisor(self) -> None:
        """Ours has died: the run goes on, under another."""
        try:
            await client.ensure_supervisor(self._run)
        except NoSupervisor as error:
            tell(f"{error}; trying again")
            await asyncio.sleep(5)

    def _take(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            if 0 < entry.seq <= self._state.seq:
                continue
            self._state.apply(entry)
            if isinstance(entry, messages.Step):
                self._step()
            elif (text := event(entry)) is not None and not isinstance(entry, _SILENT):
                self._show_last_step()
                say(text)
            elif isinstance(entry, messages.Supervisor) and entry.state in _TOLD:
                say(event(entry) or "")
            if isinstance(entry, messages.End):
                self._end = entry
            elif isinstance(entry, messages.Launch):
                self._end = None

    def _step(self) -> None:
        if time.monotonic() - self._printed_at >= _EVERY or self._state.step == self._state.steps:
            self._show_last_step()

    def _show_last_step(self) -> None:
        """The newest step, if it was not shown yet."""
        if self._state.step != self._printed_step and self._state.loss is not None:
            self._printed_at, self._printed_step = time.monotonic(), self._state.step
            say(progress(self._state))


def _name() -> str:
    return f"headless (pid {os.getpid()})"
