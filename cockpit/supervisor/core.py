"""The supervisor of one run: launches or adopts the trainer, watches it, decides what follows."""

from __future__ import annotations

import asyncio
import os
import signal
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import msgspec

from cockpit import journal as reading
from cockpit import processes, runs
from cockpit.alarms import Watch
from cockpit.boards import key_of
from cockpit.client import new_id
from cockpit.runs import Run, SupervisorInfo
from cockpit.supervisor import ending, history, process, sampler, sockets
from cockpit.supervisor.indexing import IndexKeeper
from cockpit.supervisor.notes import note
from cockpit.supervisor.pipe import CONFIRM_EVERY, Pipe
from cockpit.supervisor.process import Trainer
from cockpit.supervisor.server import ClientServer
from cockpit.supervisor.watchdog import Watchdog
from cockpit.supervisor.writer import JournalWriter
from trainer.contract import layout, messages
from trainer.contract.messages import Acknowledge, AnyOrder, Entry, Message, Restart, Send

_POLL = 0.1
_UPKEEP = 2.0
_LINGER = 0.4
_LAST_TRIES = 1200
"""Half seconds that the end of a run may wait for space in the journal."""


class Supervisor:
    """Looks after one run until it is over. takeover: never start training by itself."""

    def __init__(self, run: Run, takeover: bool) -> None:
        self.run, self.config = run, run.config()
        self._takeover = takeover
        self.history = history.of(reading.each(run.journal))
        self.alarms = Watch(self.config, self._standing())
        self.journal = JournalWriter(run.journal)
        self.index = IndexKeeper(run, self.journal)
        before = runs.supervisor_info(run)
        self.trainer = process.adopt(run, before)
        pipe = sockets.path_for(run.path, ".pipe")
        if self.trainer and before:  # the trainer knows this path and no other
            pipe = Path(before.pipe)
        self.pipe = Pipe(pipe, self.journal, self._take)
        self.clients = ClientServer(
            sockets.path_for(run.path, ".sock"), run.id, run.journal, self.journal, self._request
        )
        self.journal.on_written = self.clients.wake
        self.watchdog = Watchdog(self.history, self.config.restart.grace)
        self._news = asyncio.Event()
        self._again: Restart | None = None
        self._started = time.time()
        self._info_written = False
        self._refusal: OSError | None = None

    # --- from the beginning to the end -----------------------------------------------------

    async def supervise(self, ready: Callable[[], None]) -> None:
        """All of it. ready is called when clients can connect; OSError before that means that
        the run cannot be looked after here."""
        process.become_reaper()
        self.journal.open()
        await self.pipe.endpoint.open()
        await self.clients.endpoint.open()
        runs.write_private(self.run.supervisor_file, self._info())
        self._listen_to_signals()
        tasks = [
            asyncio.create_task(self._upkeep()),
            asyncio.create_task(sampler.sample(self.run.path, self._pids, self._sampled)),
            asyncio.create_task(self.index.keep()),
        ]
        try:
            await self._begin()
            ready()
            await self._until_over()
            await self._leave()
        finally:
            for task in tasks:
                task.cancel()
            self.pipe.endpoint.close()
            self.clients.endpoint.close()
            self.journal.close()

    async def _begin(self) -> None:
        if self.trainer is not None:
            self._adopt(self.trainer)
        elif self._takeover:
            self._say("took-over", "nothing of the run was alive any more")
            self.pipe.expect(self.history.attempt, self.history.last_n, list)
            if not self.history.ended:  # whoever waits for `ready` shall read how it ended
                await ending.conclude(self)
        else:
            self._say("started", "")
            reason = "started" if self.history.attempt == 0 else "continued"
            await self._launch(reason, self.config.restart.max)

    def _adopt(self, trainer: Trainer) -> None:
        """Go on with a trainer that an earlier supervisor started."""
        self._say("took-over", f"the trainer (torchrun, pid {trainer.info.pid}) had gone on")
        if trainer.info.attempt > self.history.attempt:  # its launch was never written down
            left = self.history.state.restarts_left
            left = self.config.restart.max if left is None else left
            self._record_launch(trainer, "adopted", left)
        self.pipe.expect(self.history.attempt, self.history.last_n, self._outstanding)
        if self.history.stop is not None:
            self.watchdog.expect_stop()

    async def _until_over(self) -> None:
        while True:
            if self.trainer is not None:
                await self._watch(self.trainer)
            if self.trainer is not None or not self.history.ended:
                await ending.conclude(self)
            if self.history.ended and not await self._asked_again():
                return

    async def _watch(self, trainer: Trainer) -> None:
        """Until torchrun is gone, by itself or because it must."""
        while not trainer.ended:
            self.watchdog.look(trainer, self.record)
            if self.watchdog.verdict is not None:
                # Not politely: to the trainer SIGTERM means checkpoint and stop.
                await process.kill_all(self.run.path, trainer.info.pid)
            await self.pause(_POLL)

    async def _asked_again(self) -> bool:
        """After the end: whether someone wants another start, which is then made."""
        if self._again is None and self.clients.connected:
            await self.pause(_LINGER)
        if self._again is None:
            return False
        request, self._again = self._again, None
        await self._launch("continued", self.config.restart.max)
        self.record(messages.Ack(id=request.id, command="restart", state="done", step=self.step))
        return True

    async def restart(self, delay: float, reason: str, left: int) -> bool:
        """Start the trainer again after a delay; False if a stop came in between. Who asks for a
        restart meanwhile has it at once, and all restarts back."""
        due = time.monotonic() + delay
        while (rest := due - time.monotonic()) > 0 and self._again is None:
            if self.history.stop is not None:
                return False
            await self.pause(rest)
        request, self._again = self._again, None
        was_paused = self.history.paused
        await self._launch(reason, self.config.restart.max if request else left)
        if request:
            self.record(
                messages.Ack(id=request.id, command="restart", state="done", step=self.step)
            )
        elif was_paused:  # nobody has asked it to go on
            self._order(messages.Pause(id=new_id()), "supervisor")
        return True

    async def _launch(self, reason: str, left: int) -> None:
        await process.end_all(self.run.path)  # whatever an earlier attempt has left behind
        attempt = self.history.attempt + 1
        self.watchdog = Watchdog(self.history, self.config.restart.grace)
        self.pipe.expect(attempt, 0, self._outstanding)
        try:
            self.trainer = process.start(self.run, self.config, self.pipe.endpoint.path, attempt)
        except OSError as error:
            ending.fail_to_start(self, error)
            return
        self._record_launch(self.trainer, reason, left)

    def _record_launch(self, trainer: Trainer, reason: str, left: int) -> None:
        latest = self.run.checkpoints / layout.LATEST
        checkpoint = os.readlink(latest) if latest.is_symlink() else None  # noqa: PTH115
        self.record(
            messages.Launch(
                attempt=trainer.info.attempt,
                pid=trainer.info.pid,
                checkpoint=checkpoint,
                reason=reason,
                restarts_left=left,
            )
        )
        self._write_info()

    async def _leave(self) -> None:
        """Let the journal and the clients have the last lines."""
        self._say("ended", "")
        for _ in range(_LAST_TRIES):
            if self.journal.flush():
                break
            await asyncio.sleep(0.5)
        await self.clients.finish(patience=2.0)
        await self.index.finish(patience=2.0)

    # --- what comes in --------------------------------------------------------------------

    def _request(self, request: Send | Restart | Acknowledge) -> None:
        if isinstance(request, Restart):
            self._restart_request(request)
        elif isinstance(request, Acknowledge):
            self._acknowledge(request)
        else:
            self._order(request.order, request.by)

    def _restart_request(self, request: Restart) -> None:
        self.record(messages.Command(id=request.id, command="restart", by=request.by))
        if self.trainer is not None:
            self._refuse(request.id, "restart", "the trainer is running")
        else:
            self._again = request
            self._news.set()

    def _acknowledge(self, seen: Acknowledge) -> None:
        """Once for each alarm that is raised: who was the first is what counts."""
        entry = messages.Acknowledged(
            rule=seen.rule, layer=seen.layer, expert=seen.expert, by=seen.by
        )
        alarms, key = self.history.state.alarms, key_of(entry)
        if key in alarms.raised and key not in alarms.seen:
            self.record(entry)

    def _order(self, order: AnyOrder, by: str) -> None:
        if order.id in self.history.orders:
            return
        command = history.command_of(order, by)
        self.record(command)
        if self.history.ended:
            self._refuse(order.id, command.command, "the run is over")
            return
        self.pipe.order(order)
        if isinstance(order, messages.Stop):
            self.watchdog.expect_stop()
        self._news.set()

    def _refuse(self, identifier: str, command: str, reason: str) -> None:
        self.record(
            messages.Ack(
                id=identifier, command=command, state="refused", step=self.step, reason=reason
            )
        )

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._terminate)

    def _terminate(self) -> None:
        """First: checkpoint and stop. Again: at once."""
        if self.history.stop is None:
            self._order(messages.Stop(id=new_id()), "a signal to the supervisor")
        else:
            self.watchdog.end_now("a second signal to the supervisor asked for it")
        self._news.set()

    def _sampled(self, system: messages.System) -> None:
        if not self.journal.backlog:  # what the disk can't take now is not worth keeping
            self.record(system)

    def _standing(self) -> list[messages.Alarm]:
        """The alarms that an earlier supervisor of this training has raised."""
        return [] if self.history.ended else list(self.history.state.alarms.raised.values())

    # --- small things ---------------------------------------------------------------------

    @property
    def step(self) -> int:
        """The last step done."""
        return self.history.state.step

    def record(self, message: Message) -> None:
        """Journal a message of the supervisor's own, and take it in."""
        message.attempt = message.attempt or self.history.attempt
        assert isinstance(message, Entry)
        self.journal.append(message)
        self._take(message)

    def _take(self, entry: Entry) -> None:
        """Take in an entry that is in the journal, or on its way there; it may raise alarms."""
        self.history.apply(entry)
        entry.time = entry.time or time.time()
        try:
            alarms = self.alarms.look(entry)
        except Exception:  # alarms must never cost the run its supervisor
            note(f"alarms: {traceback.format_exc()}")
            return
        for alarm in alarms:
            self.record(alarm)

    async def pause(self, seconds: float) -> None:
        """Sleep, but not through news."""
        try:
            await asyncio.wait_for(self._news.wait(), seconds)
        except TimeoutError:
            return
        self._news.clear()

    def _say(self, state: str, text: str) -> None:
        entry = messages.Supervisor(
            state=state,  # type: ignore[arg-type]
            pid=os.getpid(),
            host=runs.this_host(),
            text=text,
        )
        self.record(entry)

    def say_restarting(self, text: str) -> None:
        """Announce another attempt."""
        self._say("restarting", text)

    def _outstanding(self) -> list[AnyOrder]:
        return list(self.history.orders.values())

    def _pids(self) -> dict[int, int]:
        return {} if self.trainer is None else {r.rank: r.pid for r in self.history.ranks}

    def _info(self) -> bytes:
        info = SupervisorInfo(
            pid=os.getpid(),
            identity=processes.identity(os.getpid()) or "",
            host=runs.this_host(),
            started=self._started,
            protocol=messages.PROTOCOL,
            socket=str(self.clients.endpoint.path),
            pipe=str(self.pipe.endpoint.path),
            trainer=None if self.trainer is None else self.trainer.info,
        )
        return msgspec.json.encode(info) + b"\n"

    def _write_info(self) -> None:
        """Tell others where we are; where the disk refuses, upkeep tries again."""
        try:
            runs.write_private(self.run.supervisor_file, self._info())
            self._info_written = True
        except OSError as error:
            note(f"supervisor.json: {error}")
            self._info_written = False

    async def _upkeep(self) -> None:
        """Confirm to the trainer, retry the disk, keep the sockets in place."""
        due = 0.0
        while True:
            await asyncio.sleep(CONFIRM_EVERY)
            if self.journal.backlog or self._refusal:
                self._mind_the_disk()
            self.pipe.confirm()
            if time.monotonic() < due:
                continue
            due = time.monotonic() + _UPKEEP
            if not self._info_written:
                self._write_info()
            await self._mind_the_sockets()

    def _mind_the_disk(self) -> None:
        before = self._refusal
        self.journal.flush()
        self._refusal = self.journal.refusal
        if before is None and self._refusal is not None:
            self.clients.notice(ending.disk_failure(self.journal, self._refusal, over=False))
        elif before is not None and self._refusal is None:
            self.record(ending.disk_failure(self.journal, before, over=True))

    async def _mind_the_sockets(self) -> None:
        try:
            await self.pipe.endpoint.ensure()
        except OSError as error:
            note(f"pipe: {error}")
        try:
            await self.clients.endpoint.ensure()
        except OSError as error:
            note(f"socket: {error}")
            try:
                self.clients.endpoint.path = sockets.path_for(self.run.path, ".sock")
            except OSError as nowhere:
                note(f"socket: {nowhere}")
            self._info_written = False
