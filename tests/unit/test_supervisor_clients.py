"""Any number of clients, of any behaviour, and the run does not mind."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from supervision import (
    Stage,
    assert_whole,
    now,
    of_type,
    over,
    reaches,
    steps,
    supervisor_pid,
    until,
)  # fmt: skip

from cockpit import client, journal, runs
from cockpit.client import Client
from cockpit.runs import Run
from trainer.contract import messages
from trainer.contract.messages import Entry


async def collect(run: Run, since: int) -> list[Entry]:
    connection = await Client.connect(run, since, "test")
    entries = [entry async for batch in connection.batches() for entry in batch]
    await connection.close()
    return entries


def raw(run: Run) -> socket.socket:
    info = runs.supervisor_info(run)
    assert info is not None
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(info.socket)
    return connection


def test_every_client_gets_every_line_after_the_one_it_names(stage: Stage) -> None:
    run = stage.start(steps=60)
    reaches(run, 10)

    async def many() -> list[list[Entry]]:
        return await asyncio.gather(*(collect(run, since) for since in (0, 0, 5, 9999)))

    first, second, later, future = asyncio.run(many())
    assert [entry.seq for entry in first] == list(range(1, len(first) + 1))
    assert first == second == journal.read(run.journal)
    assert later == first[5:]
    assert future and future[-1] == first[-1]


def test_a_client_that_does_not_read_holds_up_nobody(stage: Stage) -> None:
    run = stage.start(steps=40, burst=50)
    with raw(run) as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.sendall(messages.encode(messages.Subscribe(since=0, client="slow")))
        assert over(run).state == "done"
    assert steps(run) == list(range(1, 41))


def test_a_thousand_messages_a_second_arrive_in_order(stage: Stage) -> None:
    run = stage.start(steps=20, burst=150, seconds=0.01, checkpoint_every=0)
    assert over(run).state == "done"
    entries = assert_whole(run)
    logs = [entry for entry in entries if isinstance(entry, messages.Log)]
    assert len(logs) == 20 * 150
    sent = logs[-1].time - logs[0].time
    phase = of_type(run, messages.Phase)[-1]
    end = of_type(run, messages.End)[-1]
    assert len(logs) / sent > 1000
    assert end.time - phase.time < 2.0  # nothing had piled up


def test_garbage_and_endless_lines_do_no_harm(stage: Stage) -> None:
    run = stage.start(steps=100)
    reaches(run, 2)
    info = runs.supervisor_info(run)
    assert info is not None
    for path in (info.socket, info.pipe):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(path)
            connection.sendall(b'\x00\xff{"type":"step"}\n[1,2]\n{"type":"step"}\n\n')
            connection.sendall(b"x" * (100 * 2**20) + b"\n")
            connection.sendall(b'{"type":"nonsense"\n')
    assert over(run).state == "done"
    assert steps(run) == list(range(1, 101))
    assert_whole(run)


def test_messages_of_types_to_come_are_kept_as_they_are(stage: Stage) -> None:
    run = stage.start(steps=3000)
    reaches(run, 2)
    info = runs.supervisor_info(run)
    assert info is not None
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(info.pipe)
        connection.sendall(b'{"type":"novelty","shape":[1,2],"deep":{"a":null}}\n')
    line = until(lambda: [li for li in run.journal.read_bytes().splitlines() if b"novelty" in li])
    assert line[0].endswith(b'"type":"novelty","shape":[1,2],"deep":{"a":null}}')
    assert journal.seq_of(line[0]) > 0


def test_a_trainer_cannot_write_what_only_the_supervisor_says(stage: Stage) -> None:
    run = stage.start(steps=100)
    reaches(run, 2)
    info = runs.supervisor_info(run)
    assert info is not None
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(info.pipe)
        connection.sendall(messages.encode(messages.End(state="failed", step=0, reason="no")))
    assert over(run).state == "done"
    assert [end.state for end in of_type(run, messages.End)] == ["done"]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be somebody else")
def test_a_foreign_user_is_not_heard(stage: Stage) -> None:
    run = stage.start(steps=3000)
    reaches(run, 2)
    info = runs.supervisor_info(run)
    assert info is not None
    stage.sockets.chmod(0o777)
    Path(info.socket).parent.chmod(0o777)
    Path(info.socket).chmod(0o777)
    code = f"""
import os, socket
os.setgid(65534), os.setuid(65534)
s = socket.socket(socket.AF_UNIX)
s.connect({info.socket!r})
s.sendall(b'{{"type":"send","by":"x","order":{{"type":"stop","id":"x"}}}}\\n')
print(s.recv(100))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert b"greeting" not in done.stdout + done.stderr
    time.sleep(0.3)
    assert of_type(run, messages.Command) == []


def test_a_socket_that_is_swept_away_comes_back(stage: Stage) -> None:
    run = stage.start(steps=3000)
    reaches(run, 2)
    info = runs.supervisor_info(run)
    assert info is not None
    Path(info.socket).unlink()
    Path(info.pipe).unlink()
    until(lambda: Path(info.socket).exists() and Path(info.pipe).exists())
    raw(run).close()


def test_a_folder_that_is_swept_away_is_replaced_by_another(stage: Stage) -> None:
    run = stage.start(steps=3000)
    reaches(run, 2)
    info = runs.supervisor_info(run)
    assert info is not None
    before = now(run).step
    for path in (Path(info.socket), Path(info.pipe)):
        path.unlink()
    Path(info.socket).parent.rmdir()
    stage.sockets.rename(stage.sockets.with_suffix(".gone"))
    try:
        moved = until(lambda: (i := runs.supervisor_info(run)) and i.socket != info.socket and i)
        until(lambda: Path(moved.socket).exists())
        raw(run).close()
        reaches(run, before + 2)
    finally:
        stage.sockets.with_suffix(".gone").rename(stage.sockets)
        os.kill(supervisor_pid(run), signal.SIGTERM)
        over(run)


def test_where_there_is_no_room_for_a_socket_it_says_so(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(deep))
    run = stage.start(steps=10)  # the temporary folder serves instead
    assert over(run).state == "done"


def test_an_order_to_a_run_without_supervisor_is_refused(stage: Stage) -> None:
    run = stage.start(steps=3)
    over(run)
    with pytest.raises(client.NoSupervisor, match="does not answer"):
        asyncio.run(Client.connect(run))
