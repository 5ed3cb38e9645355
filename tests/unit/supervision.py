"""Real supervisors over a stand-in trainer: what the tests of supervision share."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shlex
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cockpit import client, journal, processes, runs, state
from cockpit.runs import Run
from cockpit.state import RunState
from trainer.contract import layout, messages, presets
from trainer.contract.messages import AnyOrder, Entry

FAKE = Path(__file__).with_name("fake_trainer.py")
COMMAND = f"{shlex.quote(sys.executable)} {shlex.quote(str(FAKE))}"


class Stage:
    """A runs folder and a socket folder of one test."""

    def __init__(self, root: Path, sockets: Path, setenv: Callable[[str, str], None]) -> None:
        self.root, self.sockets, self._setenv = root, sockets, setenv
        setenv("L4COCKPIT_TEST_TRAINER", COMMAND)
        setenv("L4COCKPIT_RUNS_DIR", str(root))
        setenv("XDG_RUNTIME_DIR", str(sockets))

    def plan(self, **plan: Any) -> None:
        self._setenv("FAKE_TRAINER", json.dumps(plan))

    def new(self, *overrides: str, **plan: Any) -> Run:
        self.plan(**plan)
        return runs.create(self.root, "tiny", presets.resolve("tiny", overrides))

    def start(self, *overrides: str, **plan: Any) -> Run:
        run = self.new(*overrides, **plan)
        asyncio.run(client.start_supervisor(run))
        return run

    def clean_up(self) -> None:
        for run in runs.all_runs(self.root):
            kill_supervisor(run)
            for pid in belonging(run):
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)

    def sockets_left(self) -> list[Path]:
        return [path for path in self.sockets.rglob("*") if not path.is_dir()]


def belonging(run: Run) -> list[int]:
    """The living processes of a run, its supervisor left out."""
    return [
        pid
        for pid in processes.own()
        if processes.environment(pid).get(layout.RUN_VARIABLE) == str(run.path)
        and processes.identity(pid) is not None
    ]


def supervisor_pid(run: Run) -> int:
    info = runs.supervisor_info(run)
    assert info is not None
    return info.pid


def kill_supervisor(run: Run, number: int = signal.SIGKILL) -> None:
    info = runs.supervisor_info(run)
    if info and runs.supervisor_alive(info):
        os.kill(info.pid, number)
        if number == signal.SIGKILL:
            until(lambda: not runs.supervisor_alive(info))


def until(condition: Callable[[], Any], seconds: float = 15.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)
    return value


def now(run: Run) -> RunState:
    return state.fold(journal.read(run.journal))


def reaches(run: Run, step: int) -> None:
    until(lambda: now(run).step >= step)


def over(run: Run, seconds: float = 20.0) -> RunState:
    """The state at the end, when the supervisor has gone too."""
    until(lambda: now(run).over, seconds)
    until(lambda: not runs.supervisor_alive(runs.supervisor_info(run)))
    return now(run)


def of_type(run: Run, kind: type[Any]) -> list[Any]:
    return [entry for entry in journal.read(run.journal) if isinstance(entry, kind)]


def steps(run: Run) -> list[int]:
    return [entry.step for entry in of_type(run, messages.Step)]


def assert_whole(run: Run) -> list[Entry]:
    """The journal has no gap, nothing doubled, and no line that cannot be read."""
    entries = journal.read(run.journal)
    assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
    numbered = [(entry.attempt, entry.n) for entry in entries if entry.n]
    assert len(set(numbered)) == len(numbered)
    for attempt in {attempt for attempt, _ in numbered}:
        numbers = [n for a, n in numbered if a == attempt]
        assert numbers == list(range(1, len(numbers) + 1))
    return entries


def assert_clean(stage: Stage, run: Run) -> None:
    """No process and no socket is left, once the supervisor has gone."""
    until(lambda: not runs.supervisor_alive(runs.supervisor_info(run)))
    assert belonging(run) == []
    assert stage.sockets_left() == []


def order(run: Run, command: AnyOrder) -> str:
    async def send() -> str:
        connection = await client.Client.connect(run, None, "test")
        sent = await connection.send(command)
        await connection.close()
        return sent

    return asyncio.run(send())


def ack(run: Run, identifier: str) -> messages.Ack | None:
    """The final answer to an order."""
    answers = [a for a in of_type(run, messages.Ack) if a.id == identifier]
    return next((a for a in answers if a.state != "accepted"), None)
