"""The clients' end: journal lines go out, commands come in.

Every client reads the journal file at its own pace, from its own offset: there is no queue to
bound, and one that stops reading holds up nobody but itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

from cockpit import journal as reading
from cockpit.lines import LineBuffer
from cockpit.supervisor.controls import Controls
from cockpit.supervisor.notes import note
from cockpit.supervisor.sockets import Endpoint
from cockpit.supervisor.writer import JournalWriter
from trainer.contract import messages
from trainer.contract.messages import (
    Ack,
    Acknowledge,
    Control,
    Greeting,
    Message,
    Restart,
    Send,
    Subscribe,
)

_CHUNK = 2**18
_REQUEST_LIMIT = 2**16


class _Client:
    """offset is where its next line begins in the journal; None until it subscribes. name is for
    people."""

    def __init__(self) -> None:
        self.offset: int | None = None
        self.name = "a client"
        self.notices: deque[bytes] = deque(maxlen=16)
        self.news = asyncio.Event()


class ClientServer:
    """Serves any number of clients."""

    def __init__(
        self,
        path: Path,
        run_id: str,
        journal_path: Path,
        journal: JournalWriter,
        on_request: Callable[[Send | Restart | Acknowledge], None],
    ) -> None:
        self.endpoint = Endpoint(path, self._serve)
        self._run_id = run_id
        self._path = journal_path
        self._journal = journal
        self._on_request = on_request
        self._clients: dict[_Client, asyncio.StreamWriter] = {}
        self._controls: Controls[_Client] = Controls()

    @property
    def connected(self) -> bool:
        """Whether anyone is there."""
        return bool(self._clients)

    def wake(self) -> None:
        """There are new lines in the journal."""
        for client in self._clients:
            client.news.set()

    def notice(self, message: Message) -> None:
        """Tell the clients of now something that is not (yet) in the journal; it has no seq."""
        message.time = time.time()
        for client in self._clients:
            self._tell(client, messages.encode(message))

    @staticmethod
    def _tell(client: _Client, line: bytes) -> None:
        client.notices.append(line)
        client.news.set()

    async def finish(self, patience: float) -> None:
        """Send everyone everything and hang up, but do not wait for one that does not read."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if all(c.offset in (None, self._journal.size) for c in self._clients):
                break
            await asyncio.sleep(0.02)
        writers = list(self._clients.values())
        for writer in writers:
            writer.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(
                asyncio.get_running_loop().time() + max(0.1, deadline - time.monotonic())
            ):
                await asyncio.gather(*(w.wait_closed() for w in writers), return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        greeting = Greeting(
            protocol=messages.PROTOCOL, pid=os.getpid(), run=self._run_id, seq=self._journal.seq
        )
        writer.write(messages.encode(greeting))
        client = _Client()
        self._clients[client] = writer
        sending = asyncio.create_task(self._send(client, writer))
        try:
            await self._hear(client, reader)
        finally:
            self._clients.pop(client, None)
            sending.cancel()
            if client in self._controls.bound:
                self._controls.left(client, time.monotonic())
                self._tell_controls()

    async def _hear(self, client: _Client, reader: asyncio.StreamReader) -> None:
        lines = LineBuffer(_REQUEST_LIMIT)
        while data := await reader.read(_REQUEST_LIMIT):
            for line in lines.feed(data):
                match messages.decode_request(line):
                    case Subscribe(since=since, client=name):
                        client.offset, client.name = self._offset(since), name
                        client.news.set()
                    case Send() | Restart() as request:
                        self._order(client, request)
                    case Control(action=action, by=by):
                        client.name = by
                        self._control(client, action)
                    case Acknowledge() as request:
                        self._on_request(request)
                    case None:
                        note(f"client: not a request: {line[:200]!r}")

    # --- the controls ---------------------------------------------------------------------

    def _order(self, client: _Client, request: Send | Restart) -> None:
        """Follow an order, unless it is of a client that watches."""
        before = self._controls.holder
        if self._controls.may(client):
            if self._controls.holder is not before:
                self._tell_controls()
            self._on_request(request)
            return
        assert before is not None
        order = request.order if isinstance(request, Send) else request
        name = "restart" if isinstance(request, Restart) else str(order.__struct_config__.tag)
        reason = f"{before.name} has the controls"
        refusal = Ack(id=order.id, command=name, state="refused", step=0, reason=reason)
        refusal.time = time.time()
        self._tell(client, messages.encode(refusal))

    def _control(self, client: _Client, action: str) -> None:
        controls, now = self._controls, time.monotonic()
        refused: list[_Client] = []
        match action:
            case "want":
                controls.want(client)
            case "watch":
                controls.watch(client)
            case "ask":
                controls.ask(client, now)
            case "give":
                controls.give(client, now)
            case "keep":
                refused = controls.keep(client)
        self._tell_controls(dict.fromkeys(refused, f"{client.name} keeps the controls"))

    def _tell_controls(self, texts: Mapping[_Client, str] | None = None) -> None:
        """Tell all who obey how things are, and see to it that a request is not forgotten."""
        controls, now = self._controls, time.monotonic()
        wait = next((due - now for due in controls.asking.values()), None)
        for client in controls.bound:
            state = messages.Controls(
                holder=controls.holder.name if controls.holder else "",
                yours=client is controls.holder,
                asking=[other.name for other in controls.asking],
                passes_in=wait,
                text=(texts or {}).get(client, ""),
            )
            self._tell(client, messages.encode(state))
        if wait is not None:
            asyncio.get_running_loop().call_later(wait + 0.01, self._look_at_controls)

    def _look_at_controls(self) -> None:
        if self._controls.look(time.monotonic()):
            self._tell_controls()

    # --- the journal ----------------------------------------------------------------------

    def _offset(self, since: int) -> int:
        if since >= self._journal.seq and not self._journal.backlog:
            return self._journal.size
        return min(self._journal.size, reading.offset_after(self._path, since))

    async def _send(self, client: _Client, writer: asyncio.StreamWriter) -> None:
        try:
            with self._path.open("rb") as file:
                while True:
                    await client.news.wait()
                    client.news.clear()
                    while client.notices:
                        writer.write(client.notices.popleft())
                    while client.offset is not None and client.offset < self._journal.size:
                        file.seek(client.offset)
                        data = file.read(min(_CHUNK, self._journal.size - client.offset))
                        if not data:
                            break
                        writer.write(data)
                        await writer.drain()
                        client.offset += len(data)
        except OSError:
            writer.close()
