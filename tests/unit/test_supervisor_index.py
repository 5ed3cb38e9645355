"""The supervisor keeps an index of the journal, and no trouble with it is the run's."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from cockpit import journal, runs
from cockpit.index import build as building
from cockpit.index.read import Index
from cockpit.runs import Run
from cockpit.supervisor import indexing
from cockpit.supervisor.indexing import IndexKeeper
from cockpit.supervisor.writer import JournalWriter
from trainer.contract import messages, presets


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(indexing, "PIECE", 5_000)
    monkeypatch.setattr(indexing, "EVERY", 0.01)
    monkeypatch.setattr(indexing, "_SHORT", 100)
    return runs.create(tmp_path, "tiny", presets.resolve("tiny"))


def opened(run: Run) -> tuple[JournalWriter, IndexKeeper]:
    writer = JournalWriter(run.journal)
    writer.open()
    return writer, IndexKeeper(run, writer)


def write(writer: JournalWriter, count: int) -> None:
    for _ in range(count):
        writer.append(
            messages.Step(
                step=writer.seq + 1, loss=1.0, lr=1.0, grad_norm=None, tokens=1, seconds=1.0,
                split={},
            )
        )  # fmt: skip


def indexed(run: Run) -> Index:
    index = Index(run.journal, run.index)
    index.refresh()
    return index


async def test_it_follows_at_a_distance_and_is_complete_at_the_end(run: Run) -> None:
    writer, keeper = opened(run)
    task = asyncio.create_task(keeper.keep())
    write(writer, 10)
    await asyncio.sleep(0.1)
    assert indexed(run).end == 0  # not worth a block yet
    write(writer, 100)
    async with asyncio.timeout(5):
        while indexed(run).seq != 110:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    write(writer, 5)
    task.cancel()
    await keeper.finish(5)
    assert indexed(run).end == writer.size


async def test_a_supervisor_that_takes_over_goes_on_with_it(run: Run) -> None:
    writer, keeper = opened(run)
    write(writer, 50)
    await keeper.finish(5)
    writer, keeper = opened(run)  # the first was killed
    write(writer, 50)
    await keeper.finish(5)
    assert indexed(run).seq == 100
    assert [entry.seq for entry in journal.read(run.journal)] == list(range(1, 101))


async def test_a_folder_that_takes_no_index_costs_the_journal_nothing(
    run: Run, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    writer, keeper = opened(run)
    monkeypatch.setattr(building, "ROOM", 2**62)
    task = asyncio.create_task(keeper.keep())
    write(writer, 200)
    await asyncio.sleep(0.1)
    assert not task.done()
    assert "index: less than" in capfd.readouterr().err
    monkeypatch.undo()
    assert len(journal.read(run.journal)) == 200
    task.cancel()


async def test_nothing_is_read_or_written_while_the_disk_refuses_the_journal(run: Run) -> None:
    writer, keeper = opened(run)
    write(writer, 200)
    writer.refusal = OSError("no space")
    await keeper.finish(1)
    assert not run.index.exists()
