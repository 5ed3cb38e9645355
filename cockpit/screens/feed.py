"""Where a dashboard's entries come from: the journal first, then the supervisor's socket, and the
journal again when there is no supervisor. It draws nothing."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass

from cockpit import journal, runs
from cockpit.client import (
    Client,
    ControlAction,
    NoSupervisor,
    ensure_supervisor,
    start_supervisor,
)
from cockpit.index.read import Index, StepBlock
from cockpit.runs import Run
from cockpit.screens import opening as opened
from cockpit.screens.filling import fill
from cockpit.screens.opening import Opening
from cockpit.screens.picture import Picture
from cockpit.state import is_lost, mark_lost
from trainer.contract import messages
from trainer.contract.messages import Alarm, AnyOrder, Controls, Entry

CHUNK = 2**17
AT_ONCE = 2**17
"""Bytes of a journal that is read before the first frame; a longer one is read behind it."""
SLICE = 1024
"""Entries that are taken in before keys have a turn; enough for a picture to thin them out."""
POLL = 2.0
"""Seconds between two looks at a journal that nobody serves."""
_PATIENCE = (1.0, 5.0, 15.0, 30.0)
"""Seconds to wait after a supervisor could not be had, the first, second … time."""


@dataclass(frozen=True)
class Link:
    """Whether entries come live; text is for the user where something is wrong."""

    live: bool
    text: str = ""


_GLANCE = 0.05
_GLANCES = 100
"""Glances, five seconds in all, that an order waits for the connection."""


def client_name() -> str:
    """How this cockpit is called in the journal and by others: its terminal, and from where."""
    try:
        terminal = os.ttyname(0).removeprefix("/dev/")
    except OSError:
        terminal = f"pid {os.getpid()}"
    origin = os.environ.get("SSH_CONNECTION", "").split(" ", maxsplit=1)[0]
    return f"cockpit on {terminal}" + (f" from {origin}" if origin else "")


class Feed:
    """Follows one run for as long as it is awaited. Entries go into the picture; `changed` is
    called after each batch, `linked` when the connection changes."""

    def __init__(
        self,
        run: Run,
        picture: Picture,
        changed: Callable[[list[Entry]], None],
        linked: Callable[[Link], None],
        readonly: bool = False,
    ) -> None:
        self._run, self._picture, self._readonly = run, picture, readonly
        self._changed, self._linked = changed, linked
        self._tail = journal.LineTail(run.journal)
        self._opened = False
        self._client: Client | None = None
        self._filling: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._refusals = 0
        self.controls: Controls | None = None
        """Who has the controls; None where nobody says."""
        self.on_controls: Callable[[Controls], None] = lambda _: None

    def glance(self) -> None:
        """Take in a short journal at once, so that the first frame shows all of it."""
        try:
            short = self._run.journal.stat().st_size <= AT_ONCE
        except OSError:
            return
        if short:
            opening = opened.read(self._run)
            self._begin(opening)
            self._picture.apply(opening.tail)

    async def follow(self) -> None:
        """Until cancelled."""
        try:
            if not self._opened:
                await self._open()
            await self._read_journal()
            while True:
                await self._listen()
                await self._read_journal()
                await self._go_on_without()
        finally:
            if self._filling:
                self._filling.cancel()
            if self._client:
                await self._client.close()

    async def _open(self) -> None:
        opening = await asyncio.to_thread(opened.read, self._run)
        self._begin(opening)
        self._changed(opening.before)
        await self._take(opening.tail)
        if opening.missing or opening.index.end:
            self._filling = asyncio.create_task(self._complete(opening))

    def _begin(self, opening: Opening) -> None:
        self._opened = True
        self._tail.offset = opening.offset
        self._picture.begin(opening.blocks, opening.before)

    async def _complete(self, opening: Opening) -> None:
        with contextlib.suppress(OSError):  # the journal is gone, say: what is shown is all
            await self._fill(opening)

    async def _fill(self, opening: Opening) -> None:
        """Let come what the first picture lacks: steps, what happened at the time, and the numbers
        that come between steps."""
        index: Index | None = opening.index
        if opening.missing:
            index = await fill(self._run, opening.missing, opening.index, self._found)
        if index is None:
            return
        if not opening.index.end:
            where = await asyncio.to_thread(opened.worth_looking_up, index, opening.missing)
            self._picture.recall(await asyncio.to_thread(index.read, where))
        self._picture.figures.join(await asyncio.to_thread(opened.charted, index))
        self._changed([])

    def _found(self, blocks: list[StepBlock]) -> None:
        self._picture.fill(blocks)
        self._changed([])

    async def send(self, order: AnyOrder) -> None:
        """Give an order; while the connection is being made, once it is. Raises NoSupervisor."""
        await (await self._connected()).send(order)

    async def control(self, action: ControlAction) -> None:
        """Ask for the controls, give or keep them. Raises NoSupervisor."""
        await (await self._connected()).control(action)

    async def acknowledge(self, alarm: Alarm) -> None:
        """Say that an alarm was seen. Raises NoSupervisor."""
        await (await self._connected()).acknowledge(alarm)

    async def _connected(self) -> Client:
        for _ in range(_GLANCES):
            if self._client is not None:
                return self._client
            await asyncio.sleep(_GLANCE)
        raise NoSupervisor("not connected to the run's supervisor")

    async def restart(self) -> str | None:
        """Start the run again from its newest good checkpoint; the id of the request, or None if
        it took a new supervisor. Raises NoSupervisor."""
        if self._client is not None:
            try:
                return await self._client.restart()
            except NoSupervisor:
                self._client = None
        await start_supervisor(self._run)
        self._wake.set()
        return None

    async def _read_journal(self) -> None:
        while (lines := await asyncio.to_thread(self._tail.next_chunk, CHUNK)) is not None:
            await self._take(messages.decode_entries(lines))

    async def _take(self, entries: list[Entry]) -> None:
        """Take in a batch, a slice at a time: between two of them keys are answered."""
        for start in range(0, len(entries), SLICE):
            if fresh := self._picture.apply(entries[start : start + SLICE]):
                self._changed(fresh)
            await asyncio.sleep(0)

    async def _listen(self) -> None:
        """One connection, from its start to its end, if there is a supervisor."""
        try:
            client = await Client.connect(self._run, self._picture.state.seq, client_name())
            if not self._readonly:
                await self._take_controls(client)
        except NoSupervisor:
            return
        self._client = client
        self._refusals = 0
        self._linked(Link(True))
        async for entries in self._client.batches():
            await self._take(entries)
        client, self._client = self._client, None
        if client:
            await client.close()

    async def _take_controls(self, client: Client) -> None:
        """As before the supervisor was replaced, if it was; else have them if they are free."""
        watched = self.controls is not None and not self.controls.yours
        self.controls = None
        client.on_controls = self._controlled
        await client.control("watch" if watched else "want")

    def _controlled(self, controls: Controls) -> None:
        self.controls = controls
        self.on_controls(controls)

    async def _go_on_without(self) -> None:
        """No supervisor answers: it should not if the run is over; else one is wanted."""
        if self._picture.state.over:
            self._linked(Link(False))
            await self._rest_a_while(POLL)
        elif self._readonly or self._elsewhere():
            self._follow_the_file()
            await self._rest_a_while(POLL)
        else:
            await self._call_for_supervisor()

    def _elsewhere(self) -> bool:
        info = runs.supervisor_info(self._run)
        return info is not None and not runs.is_here(info)

    def _follow_the_file(self) -> None:
        if is_lost(self._run):
            mark_lost(self._picture.state)
        text = "no connection to the supervisor: shown from the journal, every 2 s"
        if self._elsewhere():
            text = "this run lives on another host: shown from the journal, every 2 s"
        self._linked(Link(False, text))

    async def _call_for_supervisor(self) -> None:
        self._linked(Link(False, "the supervisor is gone; starting another"))
        try:
            await ensure_supervisor(self._run)
            self._refusals += 1  # until one answers
            await self._rest_a_while(0.2 if self._refusals < 5 else _PATIENCE[-1])
        except (NoSupervisor, OSError) as error:
            if is_lost(self._run):
                mark_lost(self._picture.state)
            wait = _PATIENCE[min(self._refusals, len(_PATIENCE) - 1)]
            self._refusals += 1
            self._linked(Link(False, f"{error}; trying again"))
            await self._rest_a_while(wait)

    async def _rest_a_while(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), seconds)
        self._wake.clear()
