"""A client of the supervisor: asyncio, no screen. It also starts supervisors."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import sys
import time
from collections.abc import AsyncIterator, Callable
from typing import Literal, TypeAlias

import msgspec

from cockpit import journal, runs, state
from cockpit.lines import LineBuffer
from cockpit.runs import Run
from trainer.contract import messages
from trainer.contract.messages import (
    Acknowledge,
    Alarm,
    AnyOrder,
    Control,
    Controls,
    Entry,
    Greeting,
    Restart,
    Send,
    Subscribe,
)

_CHUNK = 2**17
"""Bytes that are read at a time, and that are held at most while nobody takes them: what comes
faster waits in the supervisor's journal."""
_ANSWERS_WITHIN = 5.0
_STARTS_WITHIN = 30.0
TAKEN_EXIT = 3
"""Exit code of a supervisor whose run has one already."""


ControlAction: TypeAlias = Literal["want", "watch", "ask", "give", "keep"]


class NoSupervisor(Exception):
    """Nobody looks after the run, or not from here; the text is one line for the user."""


def new_id() -> str:
    """An id for an order, unique within a run."""
    return secrets.token_hex(6)


class Client:
    """A connection to the supervisor of a run. Make one with `connect`."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        greeting: Greeting,
        by: str,
    ) -> None:
        self._reader, self._writer, self._by = reader, writer, by
        self._lines = LineBuffer(messages.LIMIT)
        self.greeting = greeting
        self.on_controls: Callable[[Controls], None] = lambda _: None
        """Told who has the controls, once this client has said that it obeys them."""

    @classmethod
    async def connect(cls, run: Run, since: int | None = None, name: str = "cli") -> Client:
        """Connect, and have every entry after number `since` sent; None: those from now on. name
        stands in the journal beside this client's commands. Raises NoSupervisor."""
        info = runs.supervisor_info(run)
        if info is None:
            raise NoSupervisor(f"{run.name} has no supervisor")
        if not runs.is_here(info):
            raise NoSupervisor(f"{run.name} lives on host {info.host}; run this command there")
        try:
            reader, writer = await asyncio.open_unix_connection(info.socket, limit=_CHUNK)
        except OSError as error:
            reason = error.strerror or str(error)
            raise NoSupervisor(f"the supervisor of {run.name} does not answer: {reason}") from None
        try:
            line = await asyncio.wait_for(reader.readline(), _ANSWERS_WITHIN)
            greeting = msgspec.json.decode(line, type=Greeting)
        except (OSError, ValueError, TimeoutError):
            writer.close()
            raise NoSupervisor(f"the supervisor of {run.name} does not answer") from None
        client = cls(reader, writer, greeting, name)
        await client._say(Subscribe(since=greeting.seq if since is None else since, client=name))
        return client

    async def batches(self) -> AsyncIterator[list[Entry]]:
        """What there is to read, all at once, then what comes; ends with the supervisor."""
        while True:
            try:
                data = await self._reader.read(_CHUNK)
            except OSError:
                return
            if not data:
                return
            entries: list[Entry] = []
            for line in self._lines.feed(data):
                match messages.decode_served(line):
                    case Controls() as controls:
                        self.on_controls(controls)
                    case None:
                        pass
                    case entry:
                        entries.append(entry)
            if entries:
                yield entries

    async def send(self, order: AnyOrder) -> str:
        """Give an order; its id. Raises NoSupervisor if the connection is gone."""
        await self._say(Send(order=order, by=self._by))
        return order.id

    async def restart(self) -> str:
        """Ask for another start of the trainer, once it has ended; the id of the request, which
        is acknowledged like an order's. Raises NoSupervisor if the connection is gone."""
        request = Restart(id=new_id(), by=self._by)
        await self._say(request)
        return request.id

    async def control(self, action: ControlAction) -> None:
        """Obey the controls from now on, and do this about them. Raises NoSupervisor if the
        connection is gone."""
        await self._say(Control(action=action, by=self._by))

    async def acknowledge(self, alarm: Alarm) -> None:
        """Have it journalled that somebody has seen an alarm. Raises NoSupervisor."""
        seen = Acknowledge(rule=alarm.rule, layer=alarm.layer, expert=alarm.expert, by=self._by)
        await self._say(seen)

    async def close(self) -> None:
        """Hang up."""
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    async def _say(self, message: msgspec.Struct) -> None:
        try:
            self._writer.write(messages.encode(message))
            await self._writer.drain()
        except OSError:
            raise NoSupervisor("the supervisor has gone away") from None


def _over(run: Run) -> bool:
    """Whether the journal's last words are that the run has ended; quick, however long it is."""
    return state.fold(journal.read_ends(run.journal)).over


async def ensure_supervisor(run: Run) -> bool:
    """See to it that an active run has a supervisor: if its own died, a new one takes over. It
    never starts training; if nothing of the run is left alive, it says so in the journal and
    goes. Returns whether a supervisor answers; False for a run that is over. Raises
    NoSupervisor with the reason if it should and does not."""
    if runs.supervisor_alive(runs.supervisor_info(run)):
        return True
    if _over(run):
        return False
    _check_host(run)
    await _start(run, "--takeover")
    return runs.supervisor_alive(runs.supervisor_info(run))


async def start_supervisor(run: Run) -> None:
    """Start training: of a new run, or on from the newest good checkpoint of one that is over.
    A supervisor that is just ending is waited for. Raises NoSupervisor with the reason."""
    _check_host(run)
    deadline = time.monotonic() + _ANSWERS_WITHIN
    while runs.supervisor_alive(runs.supervisor_info(run)):
        if not _over(run):
            raise NoSupervisor(f"{run.name} is already running")
        if time.monotonic() > deadline:
            raise NoSupervisor(f"the supervisor of {run.name} is still busy ending it; try again")
        await asyncio.sleep(0.1)
    if not await _start(run):
        raise NoSupervisor(f"{run.name} is already running")


def _check_host(run: Run) -> None:
    """A run that may still be alive on another host must not be touched from this one."""
    info = runs.supervisor_info(run)
    if info is None or runs.is_here(info) or _over(run):
        return
    raise NoSupervisor(
        f"{run.name} lives on host {info.host}; run this command there "
        f"(if that host is gone for good, delete {run.supervisor_file})"
    )


async def _start(run: Run, *options: str) -> bool:
    """Start a supervisor and wait until its socket answers; False if another was faster. It
    reports on its stdout, detaches, and what it prints later goes to supervisor.log."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "cockpit.supervisor", str(run.path), *options,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
        env=os.environ,
    )  # fmt: skip
    try:
        output, _ = await asyncio.wait_for(process.communicate(), _STARTS_WITHIN)
    except TimeoutError:
        raise NoSupervisor(
            f"the supervisor did not start within {_STARTS_WITHIN:.0f} s; see {run.supervisor_log}"
        ) from None
    if process.returncode == TAKEN_EXIT:
        await asyncio.sleep(0.5)  # the other may not listen yet
        return False
    if process.returncode:
        text = output.decode(errors="replace").strip().splitlines()
        raise NoSupervisor(text[-1] if text else f"no supervisor; see {run.supervisor_log}")
    return True
