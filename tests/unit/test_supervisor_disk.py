"""The journal on a disk that refuses."""

from __future__ import annotations

import errno
import os
import resource
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from supervision import Stage, assert_whole, now, of_type, over, reaches, steps, supervisor_pid

from cockpit import journal
from cockpit.supervisor.writer import JournalWriter
from trainer.contract import messages


def log(text: str) -> messages.Log:
    return messages.Log(level="info", text=text)


def test_a_disk_that_refuses_for_a_while_loses_nothing(stage: Stage) -> None:
    run = stage.start(steps=150)
    reaches(run, 20)
    pid, size = supervisor_pid(run), run.journal.stat().st_size
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size + 1000, resource.RLIM_INFINITY))
    time.sleep(1.2)
    assert run.journal.stat().st_size == size + 1000  # full, in the middle of a line
    assert now(run).step < 90
    free = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, free)
    assert over(run).state == "done"
    assert steps(run) == list(range(1, 151))
    assert_whole(run)
    failure = of_type(run, messages.Failure)[0]
    assert failure.kind == "disk-full"
    assert "nothing was lost" in failure.text


def test_a_supervisor_that_dies_on_a_full_disk_leaves_a_journal_that_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal.jsonl"
    writer = JournalWriter(path)
    writer.open()
    writer.append(log("one"))
    write = os.write
    monkeypatch.setattr(os, "write", lambda d, data: write(d, data[:10]))
    writer.flush()
    calls = iter((True,))

    def tear(descriptor: int, data: bytes) -> int:
        if next(calls, False):
            return write(descriptor, data[:10])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", tear)
    writer.append(log("two"))
    assert writer.refusal is not None
    monkeypatch.undo()
    after = JournalWriter(path)
    after.open()
    after.append(log("three"))
    assert [(e.seq, e.text) for e in journal.read(path)] == [(1, "one"), (2, "three")]  # type: ignore[union-attr]


@settings(max_examples=40)
@given(st.lists(st.one_of(st.integers(0, 40), st.just(-1)), max_size=60))
def test_whatever_the_disk_takes_the_lines_are_whole_and_in_order(
    tmp_path_factory: pytest.TempPathFactory, accepts: list[int]
) -> None:
    """Each write is taken in part, or refused (-1)."""
    path = tmp_path_factory.mktemp("disk") / "journal.jsonl"
    writer = JournalWriter(path)
    writer.open()
    plan, write = iter(accepts), os.write

    def moody(descriptor: int, data: bytes) -> int:
        count = next(plan, len(data))
        if count < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, data[:count])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "write", moody)
        for number in range(12):
            writer.append(log(str(number)))
            whole = path.read_bytes()[: writer.size]
            assert whole == b"" or whole.endswith(b"\n")
        while not writer.flush():
            pass
    assert [e.text for e in journal.read(path)] == [str(n) for n in range(12)]  # type: ignore[union-attr]
    assert [e.seq for e in journal.read(path)] == list(range(1, 13))
    assert writer.size == path.stat().st_size
    assert writer.backlog == 0
    writer.close()
