"""The pipe of rank 0: messages up, orders down, over a Unix socket that may break and come back.

One thread does all the talking. It starts by hearing which message the journal holds last
(`received`), sends everything after that, and forgets what is confirmed. While there is no
supervisor it tries again and again; training goes on. Without a socket path it writes the
messages to stdout, one JSON object a line.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from trainer.contract import messages
from trainer.contract.messages import AnyOrder, Message, Received
from trainer.outbox import Outbox

RETRY = 0.3
TICK = 0.05


class Pipe:
    """Sends an outbox to the supervisor's socket at path, or without one to output. on_order is
    called by the pipe's thread, once per order id."""

    def __init__(
        self,
        attempt: int,
        path: str | None,
        output: BinaryIO,
        undelivered: Path,
        on_order: Callable[[AnyOrder], None],
    ) -> None:
        self._outbox = Outbox(attempt)
        self._path, self._output = path, output
        self._undelivered = undelivered
        self._on_order = on_order
        self._seen: set[str] = set()
        self._closing = threading.Event()
        self._wake_up, self._waker = socket.socketpair()
        self._waker.setblocking(False)
        target = self._serve if path else self._print
        self._thread = threading.Thread(target=target, name="pipe", daemon=True)
        self._thread.start()

    def send(self, message: Message) -> None:
        """Put a message on its way; never waits."""
        self._outbox.put(message)
        with contextlib.suppress(OSError):  # a full pipe of wake-ups wakes all the same
            self._waker.send(b"!")

    def close(self, patience: float = 5.0) -> None:
        """Wait until everything is in the journal; what nobody took within `patience` seconds is
        left in a file, from which the next supervisor journals it."""
        deadline = time.monotonic() + patience
        while not self._outbox.empty and time.monotonic() < deadline:
            time.sleep(0.01)
        self._closing.set()
        with contextlib.suppress(OSError):
            self._waker.send(b"!")
        self._thread.join(timeout=1.0)
        if self._path and not self._outbox.empty:
            try:
                self._leave_behind()
            except OSError as error:
                sys.stderr.write(f"trainer: {self._undelivered} could not be left: {error}\n")

    def _leave_behind(self) -> None:
        self._undelivered.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        making = self._undelivered.with_suffix(".tmp")
        with making.open("wb") as file:
            number = 0
            while batch := self._outbox.after(number):
                file.writelines(line for _, line in batch)
                number = batch[-1][0]
            file.flush()
            os.fsync(file.fileno())
        making.replace(self._undelivered)

    # --- the thread ---------------------------------------------------------------------

    def _print(self) -> None:
        try:
            self._print_until_closed()
        except OSError as error:  # training goes on
            sys.stderr.write(f"trainer: no more messages on stdout: {error.strerror}\n")

    def _print_until_closed(self) -> None:
        while True:
            ended = self._closing.is_set()
            while batch := self._outbox.after(0):
                self._output.write(b"".join(line for _, line in batch))
                self._output.flush()
                self._outbox.received(batch[-1][0])
            if ended:
                return
            self._wait_for_wake_up(TICK)

    def _serve(self) -> None:
        while not self._closing.is_set():
            with (
                contextlib.suppress(OSError),
                socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection,
            ):
                connection.connect(self._path or "")
                connection.setblocking(False)
                self._talk(connection)
            self._wait_for_wake_up(RETRY)

    def _talk(self, connection: socket.socket) -> None:
        """Until the connection breaks or the pipe is closed."""
        sent: int | None = None  # nothing goes up before the journal's last number is known
        unsent, heard = b"", bytearray()
        with selectors.DefaultSelector() as ready:
            ready.register(connection, selectors.EVENT_READ)
            ready.register(self._wake_up, selectors.EVENT_READ)
            while not self._closing.is_set():
                if not unsent and sent is not None and (batch := self._outbox.after(sent)):
                    unsent, sent = b"".join(line for _, line in batch), batch[-1][0]
                write = 0
                if unsent:
                    # Asked for even if all goes out now: there may be more to send.
                    write = selectors.EVENT_WRITE
                    with contextlib.suppress(BlockingIOError):
                        unsent = unsent[connection.send(unsent) :]
                ready.modify(connection, selectors.EVENT_READ | write)
                events = {key.fileobj: mask for key, mask in ready.select(1.0)}
                if self._wake_up in events:
                    self._wake_up.recv(4096)
                if events.get(connection, 0) & selectors.EVENT_READ:
                    if not (data := connection.recv(65536)):
                        return
                    heard += data
                    if b"\n" not in data:
                        if len(heard) > messages.LIMIT:
                            return
                        continue
                    *lines, heard = heard.split(b"\n")
                    for line in lines:
                        confirmed = self._hear(line)
                        sent = confirmed if sent is None else sent

    def _hear(self, line: bytearray) -> int | None:
        """Act on a line from the supervisor; the number that it confirms, if it does."""
        order = messages.decode_order(line)
        if isinstance(order, Received):
            # After a restart of the trainer the first number may be that of an older attempt.
            number = order.n if order.attempt == self._outbox.attempt else 0
            self._outbox.received(number)
            return number
        if order is not None and order.id not in self._seen:
            self._seen.add(order.id)
            self._on_order(order)
        return None

    def _wait_for_wake_up(self, seconds: float) -> None:
        with selectors.DefaultSelector() as ready:
            ready.register(self._wake_up, selectors.EVENT_READ)
            if ready.select(seconds):
                self._wake_up.recv(4096)
