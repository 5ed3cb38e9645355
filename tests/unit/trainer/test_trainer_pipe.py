"""The pipe over real sockets: nothing lost, nothing doubled, nobody waited for."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from trainer_helpers import eventually, step

from trainer.contract import messages
from trainer.contract.messages import AnyOrder, Received
from trainer.orders import Orders
from trainer.pipe import Pipe


class Connection:
    """What a supervisor has of one connection."""

    def __init__(self, accepted: socket.socket) -> None:
        self.socket = accepted
        self.socket.settimeout(10)
        self._heard = b""

    def say(self, *orders: Any) -> None:
        self.socket.sendall(b"".join(map(messages.encode, orders)))

    def lines(self, count: int) -> list[Any]:
        while self._heard.count(b"\n") < count:
            data = self.socket.recv(65536)
            assert data, "the pipe hung up"
            self._heard += data
        *found, self._heard = self._heard.split(b"\n", count)
        return [messages.decode_entry(line) for line in found]

    def is_silent(self, seconds: float = 0.2) -> bool:
        self.socket.settimeout(seconds)
        try:
            self._heard += self.socket.recv(65536)
        except TimeoutError:
            return not self._heard
        finally:
            self.socket.settimeout(10)
        return False

    def hangs_up(self) -> bool:
        while self.socket.recv(65536):
            pass
        return True

    def close(self) -> None:
        self.socket.close()


class Supervisor:
    """Listens where the trainer looks for one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen()
        self._listener.settimeout(10)
        self._connections: list[Connection] = []

    def accept(self, received: int | None = 0, attempt: int = 1) -> Connection:
        connection = Connection(self._listener.accept()[0])
        self._connections.append(connection)
        if received is not None:
            connection.say(Received(n=received, attempt=attempt))
        return connection

    def close(self) -> None:
        self._listener.close()
        for connection in self._connections:
            connection.close()


class Trainer:
    """A pipe, and what it was told."""

    def __init__(self, path: Path, undelivered: Path) -> None:
        self.undelivered = undelivered
        self.orders: list[AnyOrder] = []
        self.pipe = Pipe(1, str(path), io.BytesIO(), undelivered, self.orders.append)

    def sends(self, first: int, last: int) -> None:
        for number in range(first, last + 1):
            self.pipe.send(step(number))


@pytest.fixture
def socket_path() -> Iterator[Path]:
    # Not tmp_path, which may be too long for a socket.
    folder = Path(tempfile.mkdtemp(prefix="l4-"))
    yield folder / "pipe"
    shutil.rmtree(folder)


@pytest.fixture
def supervisor(socket_path: Path) -> Iterator[Supervisor]:
    made = Supervisor(socket_path)
    yield made
    made.close()


@pytest.fixture
def trainer(socket_path: Path, tmp_path: Path) -> Iterator[Trainer]:
    made = Trainer(socket_path, tmp_path / "failures" / "undelivered.jsonl")
    yield made
    made.pipe.close(patience=0)


def numbers(entries: list[Any]) -> list[int]:
    return [entry.n for entry in entries]


def test_nothing_is_sent_before_the_journal_has_said_what_it_holds(
    supervisor: Supervisor, trainer: Trainer
) -> None:
    connection = supervisor.accept(received=None)
    trainer.sends(1, 3)
    assert connection.is_silent()
    connection.say(Received(n=0, attempt=1))
    assert numbers(connection.lines(3)) == [1, 2, 3]


def test_what_the_journal_holds_is_not_sent_again(supervisor: Supervisor, trainer: Trainer) -> None:
    trainer.sends(1, 5)
    assert numbers(supervisor.accept(received=3).lines(2)) == [4, 5]


def test_a_number_of_an_earlier_attempt_says_nothing_about_this_one(
    supervisor: Supervisor, trainer: Trainer
) -> None:
    trainer.sends(1, 3)
    assert numbers(supervisor.accept(received=999, attempt=7).lines(3)) == [1, 2, 3]


def test_messages_wait_for_a_supervisor_that_comes_late(
    socket_path: Path, trainer: Trainer
) -> None:
    trainer.sends(1, 20)
    time.sleep(0.05)
    late = Supervisor(socket_path)
    try:
        assert numbers(late.accept().lines(20)) == list(range(1, 21))
    finally:
        late.close()


def test_a_long_backlog_goes_out_in_one_go(socket_path: Path, trainer: Trainer) -> None:
    trainer.sends(1, 3000)
    late = Supervisor(socket_path)
    try:
        connection = late.accept()
        started = time.monotonic()
        connection.lines(3000)
        assert time.monotonic() - started < 3
    finally:
        late.close()


def test_broken_connections_lose_nothing_and_double_nothing(
    supervisor: Supervisor, trainer: Trainer
) -> None:
    """Each connection takes some messages into the journal and breaks, whatever was under way."""
    count, journal = 3000, []
    sender = threading.Thread(target=trainer.sends, args=(1, count))
    sender.start()
    for take in (1, 10, 500, 7, 999):
        connection = supervisor.accept(received=len(journal))
        journal += connection.lines(take)
        connection.close()
    connection = supervisor.accept(received=len(journal))
    journal += connection.lines(count - len(journal))
    sender.join()
    assert numbers(journal) == list(range(1, count + 1))
    assert [entry.step for entry in journal] == list(range(1, count + 1))
    assert connection.is_silent()


def test_a_replaced_supervisor_goes_on_where_the_journal_ends(
    socket_path: Path, supervisor: Supervisor, trainer: Trainer
) -> None:
    trainer.sends(1, 10)
    assert numbers(supervisor.accept().lines(10)) == list(range(1, 11))
    supervisor.close()
    trainer.sends(11, 15)
    successor = Supervisor(socket_path)
    try:
        assert numbers(successor.accept(received=10).lines(5)) == [11, 12, 13, 14, 15]
    finally:
        successor.close()


def test_confirmed_messages_are_forgotten(supervisor: Supervisor, trainer: Trainer) -> None:
    connection = supervisor.accept()
    trainer.sends(1, 10)
    connection.lines(10)
    connection.say(Received(n=10, attempt=1))
    eventually(lambda: trainer.pipe._outbox.empty)


def test_orders_arrive_in_order_and_once_per_id(supervisor: Supervisor, trainer: Trainer) -> None:
    connection = supervisor.accept()
    first = [messages.Pause(id="a"), messages.Resume(id="b"), messages.Pause(id="a")]
    connection.say(*first)
    eventually(lambda: len(trainer.orders) == 2)
    connection.close()
    # A new supervisor repeats what it does not know to be done.
    supervisor.accept().say(*first, messages.Stop(id="c"))
    eventually(lambda: len(trainer.orders) == 3)
    assert [order.id for order in trainer.orders] == ["a", "b", "c"]


def test_orders_in_pieces_and_garbage_between_them_do_no_harm(
    supervisor: Supervisor, trainer: Trainer
) -> None:
    connection = supervisor.accept()
    line = messages.encode(messages.Set(id="x", key="lr_scale", value=0.5))
    garbage = b'\x00\xff\n{"type": "dance", "id": "y"}\n[[[\n\n'
    for byte in garbage + line:
        connection.socket.sendall(bytes([byte]))
    eventually(lambda: trainer.orders)
    assert trainer.orders == [messages.Set(id="x", key="lr_scale", value=0.5)]


def test_a_line_without_end_is_hung_up_on_and_the_messages_still_come(
    supervisor: Supervisor, trainer: Trainer
) -> None:
    connection = supervisor.accept()
    megabyte = b"x" * 2**20
    with pytest.raises(OSError):
        for _ in range(2 * messages.LIMIT // 2**20):
            connection.socket.sendall(megabyte)
    trainer.sends(1, 2)
    assert numbers(supervisor.accept().lines(2)) == [1, 2]


def test_sending_waits_for_no_reader(supervisor: Supervisor, trainer: Trainer) -> None:
    """The reader never reads: far more than any socket holds goes into the outbox at once."""
    supervisor.accept()
    text = "x" * 10_000
    slowest = 0.0
    for _ in range(2000):
        started = time.monotonic()
        trainer.pipe.send(messages.Log(level="info", text=text))
        slowest = max(slowest, time.monotonic() - started)
    assert slowest < 1.0
    assert trainer.pipe._outbox._samples.filled <= trainer.pipe._outbox._samples.space


def test_a_reader_that_wakes_up_gets_every_step_and_hears_what_was_dropped(
    supervisor: Supervisor, trainer: Trainer
) -> None:
    connection = supervisor.accept()
    for number in range(1, 1001):
        trainer.pipe.send(step(number))
        trainer.pipe.send(messages.Log(level="info", text="x" * 10_000))
    steps, told = [], 0
    with connection.socket.makefile("rb") as lines:
        while len(steps) < 1000 or not told:
            entry = messages.decode_entry(lines.readline())
            if isinstance(entry, messages.Step):
                steps.append(entry.step)
            elif isinstance(entry, messages.Dropped):
                told += entry.count
    assert steps == list(range(1, 1001))
    assert told > 0


# --- the end -----------------------------------------------------------------------------


def test_closing_waits_until_the_journal_has_everything(
    supervisor: Supervisor, trainer: Trainer
) -> None:
    connection = supervisor.accept()
    trainer.sends(1, 3)
    connection.lines(3)
    threading.Timer(0.3, connection.say, [Received(n=3, attempt=1)]).start()
    started = time.monotonic()
    trainer.pipe.close(patience=10)
    assert 0.2 < time.monotonic() - started < 5
    assert not trainer.undelivered.exists()
    assert connection.hangs_up()


def test_what_nobody_took_is_left_in_a_private_file(trainer: Trainer) -> None:
    trainer.sends(1, 600)
    trainer.pipe.close(patience=0.05)
    left = trainer.undelivered.read_bytes().splitlines()
    assert numbers(messages.decode_entries(left)) == list(range(1, 601))
    assert trainer.undelivered.parent.stat().st_mode & 0o777 == 0o700
    assert list(trainer.undelivered.parent.iterdir()) == [trainer.undelivered]


def test_what_was_confirmed_is_not_left(supervisor: Supervisor, trainer: Trainer) -> None:
    connection = supervisor.accept()
    trainer.sends(1, 5)
    connection.lines(5)
    connection.say(Received(n=3, attempt=1))
    eventually(lambda: len(trainer.pipe._outbox._lines) == 2)
    trainer.pipe.close(patience=0.05)
    left = trainer.undelivered.read_bytes().splitlines()
    assert numbers(messages.decode_entries(left)) == [4, 5]


def test_a_file_that_cannot_be_left_does_not_stop_the_end(
    socket_path: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    trainer = Trainer(socket_path, tmp_path / "file" / "undelivered.jsonl")
    trainer.sends(1, 3)
    trainer.pipe.close(patience=0.05)
    assert "could not be left" in capfd.readouterr().err


# --- without a supervisor ----------------------------------------------------------------


def test_without_a_path_messages_go_out_as_one_json_object_a_line(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    pipe = Pipe(1, None, os.fdopen(writing, "wb"), tmp_path / "undelivered", lambda order: None)
    for number in range(1, 6):
        pipe.send(step(number))
    pipe.close()
    lines = os.read(reading, 10**6).splitlines()
    os.close(reading)
    found = [json.loads(line) for line in lines]
    assert [(line["type"], line["n"], line["step"]) for line in found] == [
        ("step", number, number) for number in range(1, 6)
    ]
    assert not (tmp_path / "undelivered").exists()


def test_without_a_path_an_output_that_nobody_reads_holds_up_nothing(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    pipe = Pipe(1, None, os.fdopen(writing, "wb"), tmp_path / "undelivered", lambda order: None)
    started = time.monotonic()
    for _ in range(200):
        pipe.send(messages.Log(level="info", text="x" * 10_000))
    assert time.monotonic() - started < 1.0
    pipe.close(patience=0.05)
    os.close(reading)
    pipe._thread.join(5)


def test_without_a_path_an_output_that_is_gone_is_told_once_and_training_goes_on(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    pipe = Pipe(1, None, os.fdopen(writing, "wb"), tmp_path / "undelivered", lambda order: None)
    for number in range(10):
        pipe.send(step(number))
        time.sleep(0.01)
    pipe.close(patience=0.05)
    assert capfd.readouterr().err.count("no more messages on stdout: Broken pipe") == 1


# --- orders ------------------------------------------------------------------------------


def test_orders_that_came_early_are_told_too() -> None:
    orders, told = Orders(), []
    orders.put(messages.Pause(id="early"))
    orders.tell(told.append)
    orders.put(messages.Resume(id="late"))
    assert [order.id for order in told] == ["early", "late"]
    assert [order.id for order in orders.take_all()] == ["early", "late"]
    assert orders.take(timeout=0.01) is None


def test_no_order_is_told_twice_or_never_while_the_listener_comes() -> None:
    for _ in range(200):
        orders, told = Orders(), []
        start = threading.Barrier(2)

        def put(orders: Orders = orders, start: threading.Barrier = start) -> None:
            start.wait()
            for number in range(20):
                orders.put(messages.Pause(id=str(number)))

        thread = threading.Thread(target=put)
        thread.start()
        start.wait()
        orders.tell(told.append)
        thread.join()
        assert sorted(int(order.id) for order in told) == list(range(20))
        assert [int(order.id) for order in orders.take_all()] == list(range(20))


SIGNALLED = """
import os, sys, threading
from pathlib import Path
from trainer import __main__ as entry
from trainer.contract.messages import Ack, Log
from trainer.orders import Orders
from trainer.pipe import Pipe
from trainer.place import Place

orders = Orders()
pipe = Pipe(1, None, open(os.devnull, "wb"), Path("none"), orders.put)
orders.tell(lambda order: pipe.send(Ack(id=order.id, command="stop", state="accepted", step=0)))
entry._stop_on_signals(orders, Place(0, 1, 0, 1, "here"))
print("ready", flush=True)
heard = 0
while heard < 300:
    for _ in range(50):
        pipe.send(Log(level="info", text="busy"))
    heard += len(orders.take_all())
os.write(1, b"done\\n")
os._exit(0)
"""


def test_a_signal_while_a_message_is_being_sent_blocks_nothing() -> None:
    process = subprocess.Popen([sys.executable, "-c", SIGNALLED], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout and process.stdout.readline() == "ready\n"
        deadline = time.monotonic() + 10
        while process.poll() is None and time.monotonic() < deadline:
            process.send_signal(signal.SIGTERM)
            time.sleep(0.001)
        assert process.poll() == 0, "it hangs"
        assert process.stdout.read() == "done\n"
    finally:
        process.kill()
        process.wait()
