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
from collections.abc import Callable
from pathlib import Path

from cockpit import journal as reading
from cockpit.lines import LineBuffer
from cockpit.supervisor.notes import note
from cockpit.supervisor.sockets import Endpoint
from cockpit.supervisor.writer import JournalWriter
from trainer.contract import messages
from trainer.contract.messages import Greeting, Message, Restart, Send, Subscribe

_CHUNK = 2**18
_REQUEST_LIMIT = 2**16


class _Client:
    """offset is where its next line begins in the journal; None until it subscribes."""

    def __init__(self) -> None:
        self.offset: int | None = None
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
        on_request: Callable[[Send | Restart], None],
    ) -> None:
        self.endpoint = Endpoint(path, self._serve)
        self._run_id = run_id
        self._path = journal_path
        self._journal = journal
        self._on_request = on_request
        self._clients: dict[_Client, asyncio.StreamWriter] = {}

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
            client.notices.append(messages.encode(message))
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

    async def _hear(self, client: _Client, reader: asyncio.StreamReader) -> None:
        lines = LineBuffer(_REQUEST_LIMIT)
        while data := await reader.read(_REQUEST_LIMIT):
            for line in lines.feed(data):
                match messages.decode_request(line):
                    case Subscribe(since=since):
                        client.offset = self._offset(since)
                        client.news.set()
                    case Send() | Restart() as request:
                        self._on_request(request)
                    case None:
                        note(f"client: not a request: {line[:200]!r}")

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
