"""An index tells what its journal tells, or nothing: never anything else."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cockpit import journal
from cockpit.index import build as building
from cockpit.index.build import Indexer, build
from cockpit.index.read import Index
from cockpit.series import METRICS, Series
from trainer.contract import messages as m
from trainer.contract.messages import Entry, Step

MODEL = m.Model(
    layers=1, moe_layers=[0], experts=2, experts_per_token=1, hidden=1, vocabulary=1,
    parameters=1, trainable=1,
)  # fmt: skip


def step(number: int, loss: float | None = 1.5) -> Step:
    return Step(
        step=number, loss=loss, lr=1e-3, grad_norm=None, tokens=2**53 + 1, seconds=0.25,
        split={"forward": 0.1, "novel": 1.0}, time=1e9 + number,
    )  # fmt: skip


def hello(attempt: int, at: int) -> m.Hello:
    return m.Hello(
        protocol=1, world=1, ranks=[], model=MODEL, step=at, steps=9, tokens_per_step=1,
        attempt=attempt,
    )  # fmt: skip


def experts(at: int) -> m.Experts:
    return m.Experts(step=at, steps=1, layers=[0], counts=[[at, 1]], tokens=at + 1)


FOREIGN = [
    b"\n",
    b"torn\n",
    b'{"type":"step"}\n',
    b"\xff\n",
    b'{"type":"news","x":{"type":"step"}}\n',
]


@st.composite
def journals(draw: st.DrawFn) -> bytes:
    """A run of some attempts, with lines in between that nobody knows."""
    entries: list[Entry] = []
    last = 0
    for attempt in range(1, draw(st.integers(1, 4)) + 1):
        start = draw(st.integers(0, last))
        if attempt == 1 or draw(st.booleans()):
            entries.append(hello(attempt, start))
        for number in range(start + 1, start + 1 + draw(st.integers(0, 9))):
            entries.append(step(number, draw(st.sampled_from([1.5, None, 0.25]))))
            last = number
            if draw(st.booleans()):
                entries.append(experts(number))
    lines = []
    for seq, entry in enumerate(entries, 1):
        entry.seq = seq
        lines.append(m.encode(entry))
        if draw(st.integers(0, 9)) == 0:
            lines.append(draw(st.sampled_from([*FOREIGN, lines[0]])))
    return b"".join(lines)


def naive(entries: list[Entry]) -> Series:
    """One by one, as they stand in the journal."""
    series, known = Series(), 0
    for entry in entries:
        if 0 < entry.seq <= known:
            continue
        known = max(known, entry.seq)
        if isinstance(entry, Step):
            series.extend([entry])
        elif isinstance(entry, m.Hello) and entry.attempt > 1:
            series.rewind(entry.step)
    return series


def assert_same(series: Series, expected: Series) -> None:
    for name in METRICS:
        np.testing.assert_array_equal(series[name], expected[name], err_msg=name)


def folder(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> tuple[Path, Path]:
    path = tmp_path_factory.mktemp("run")
    (path / "journal.jsonl").write_bytes(content)
    return path / "journal.jsonl", path / "journal.index"


def in_pieces(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(building, "BULK", size)


@settings(max_examples=60, deadline=None)
@given(journals(), st.integers(150, 2000), st.integers(0, 60))
def test_steps_from_the_index_and_the_rest_from_the_journal_are_all_steps_once(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, piece: int, live: int
) -> None:
    path, cache = folder(tmp_path_factory, content)
    with pytest.MonkeyPatch.context() as patch:
        in_pieces(patch, piece)
        build(path, cache)
    entries = journal.read(path)
    index, series = Index(path, cache), Series()
    # The newest entries are on the screen first; the index brings those, and the older, later.
    tail = entries[max(len(entries) - live, 0) :]
    known = naive(entries)
    for is_step, group in groupby(tail, lambda entry: isinstance(entry, Step)):
        if is_step:
            series.extend([entry for entry in group if isinstance(entry, Step)])
        else:
            for entry in group:
                if isinstance(entry, m.Hello) and entry.attempt > 1:
                    series.rewind(entry.step)
    for rows in index.refresh():
        series["loss"]  # looked at in between
        series.fill(rows, rows.rewinds)
    if m.encode(entries[0]) not in [m.encode(e) for e in entries[1:]]:  # no line comes twice
        assert_same(series, known)
        if not tail:
            assert series.restarts == known.restarts
    assert index.end == len(content)
    assert index.seq == max(entry.seq for entry in entries)
    index.close()


@settings(max_examples=30, deadline=None)
@given(journals())
def test_other_entries_are_found_by_kind(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path, cache = folder(tmp_path_factory, content)
    with pytest.MonkeyPatch.context() as patch:
        in_pieces(patch, 300)
        build(path, cache)
    known, expected = 0, []
    for entry in journal.read(path):
        if entry.seq > known and isinstance(entry, m.Experts):
            expected.append(entry)
        known = max(known, entry.seq)
    index = Index(path, cache)
    index.refresh()
    where = index.entries("experts")
    assert index.read(where) == expected
    assert where[2].tolist() == [entry.step for entry in expected]
    assert index.read(index.newest(["experts"], 3)) == expected[-3:]
    assert index.newest(["none such"], 3).shape == (3, 0)
    both = index.newest(["experts", "hello"], 5, end=len(content) // 2)
    assert sorted(both[0].tolist()) == both[0].tolist()
    every = [index.entries(kind) for kind in ("experts", "hello")]
    early = np.sort(np.concatenate(every, axis=1)[0])
    assert both[0].tolist() == early[early < len(content) // 2][-5:].tolist()
    index.close()


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A journal of 200 steps and its index of several blocks."""
    in_pieces(monkeypatch, 4000)
    path, cache = tmp_path / "journal.jsonl", tmp_path / "journal.index"
    path.write_bytes(b"".join(lines(1, 200)))
    build(path, cache)
    return path, cache


def lines(first: int, last: int, loss: float = 1.5) -> list[bytes]:
    found = []
    for number in range(first, last + 1):
        entry = step(number, loss)
        entry.seq = number
        found.append(m.encode(entry))
    return found


def steps_of(path: Path, cache: Path) -> list[int]:
    index, series = Index(path, cache), Series()
    for rows in index.refresh():
        series.fill(rows, rows.rewinds)
    found: list[int] = series["step"].tolist()
    index.close()
    return found


def test_an_index_cut_anywhere_holds_its_whole_blocks(run: tuple[Path, Path]) -> None:
    path, cache = run
    content = cache.read_bytes()
    seen = set()
    for size in range(0, len(content), 97):
        cache.write_bytes(content[:size])
        found = steps_of(path, cache)
        assert found == list(range(1, len(found) + 1))
        seen.add(len(found))
        build(path, cache)
        assert cache.read_bytes() == content
    assert len(seen) > 5


def test_a_flipped_bit_anywhere_is_noticed(run: tuple[Path, Path]) -> None:
    path, cache = run
    content = cache.read_bytes()
    for place in range(0, len(content), 61):
        damaged = bytearray(content)
        damaged[place] ^= 1
        cache.write_bytes(damaged)
        found = steps_of(path, cache)
        assert found == list(range(1, len(found) + 1)) and len(found) < 200


def _rewritten(path: Path) -> None:
    path.write_bytes(b"".join(lines(1, 200, loss=9.0)))


def _shorter(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _shorter_then_other_lines(path: Path) -> None:
    size = path.stat().st_size
    _shorter(path)
    with path.open("ab") as file:
        file.write(b"\n" + b"".join(lines(101, 300, loss=9.0)))
    assert path.stat().st_size > size


def _empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("change", [_rewritten, _shorter, _shorter_then_other_lines, _empty])
def test_an_index_that_does_not_fit_its_journal_is_made_anew(
    run: tuple[Path, Path], change: Callable[[Path], None]
) -> None:
    path, cache = run
    held = Index(path, cache)
    before = held.refresh()
    change(path)
    index = Index(path, cache)
    series = Series()
    for rows in index.refresh():
        series.fill(rows, rows.rewinds)
    expected = naive(journal.read(path))
    assert len(series) <= len(expected)
    np.testing.assert_array_equal(series["loss"], expected["loss"][: len(series)])
    build(path, cache)
    assert steps_of(path, cache) == expected["step"].tolist()
    # Who had the old one open still reads what it said.
    assert [int(n) for rows in before for n in rows.column("step")] == list(range(1, 201))
    assert all((rows.column("loss") == 1.5).all() for rows in before)


def test_an_index_grows_with_its_journal_and_a_reader_follows(tmp_path: Path) -> None:
    path, cache = tmp_path / "journal.jsonl", tmp_path / "journal.index"
    path.write_bytes(b"".join(lines(1, 50)))
    indexer, reader = Indexer(path, cache), Index(path, cache)
    assert reader.refresh() == []
    assert not indexer.advance(path.stat().st_size, least=10**6)  # too little for a block
    assert indexer.advance(path.stat().st_size, least=1)
    assert [len(rows) for rows in reader.refresh()] == [50]
    with path.open("ab") as file:
        file.write(b"".join(lines(51, 60)) + lines(61, 61)[0][:20])
    assert indexer.advance(path.stat().st_size, least=1)
    assert [len(rows) for rows in reader.refresh()] == [10]
    assert not indexer.advance(path.stat().st_size, least=1)  # half a line is none
    assert reader.refresh() == []


def test_who_takes_over_goes_on_where_the_index_ends(tmp_path: Path) -> None:
    path, cache = tmp_path / "journal.jsonl", tmp_path / "journal.index"
    path.write_bytes(b"".join(lines(1, 50)))
    first = Indexer(path, cache)
    first.advance(path.stat().st_size, least=1)  # and is killed here
    with path.open("ab") as file:
        file.write(b"".join(lines(51, 80)))
    second = Indexer(path, cache)
    second.advance(path.stat().st_size, least=1)
    assert steps_of(path, cache) == list(range(1, 81))
    cache.unlink()  # as when a reader puts another in its place
    assert second.advance(path.stat().st_size, least=1)
    assert steps_of(path, cache) == list(range(1, 81))


def test_a_disk_with_little_room_gets_no_index(
    run: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, cache = run
    before = cache.read_bytes()
    with path.open("ab") as file:
        file.write(b"".join(lines(201, 300)))
    monkeypatch.setattr(building, "ROOM", 2**62)
    with pytest.raises(OSError, match="MiB free"):
        build(path, cache)
    assert cache.read_bytes() == before


def test_a_block_that_went_half_onto_the_disk_is_taken_back(
    run: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, cache = run
    before = cache.read_bytes()
    with path.open("ab") as file:
        file.write(b"".join(lines(201, 300)))
    whole = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda f, data, at: whole(f, data[: len(data) // 2], at))
    indexer = Indexer(path, cache)
    with pytest.raises(OSError, match="only a part"):
        indexer.advance(path.stat().st_size, least=1)
    assert cache.read_bytes() == before
    monkeypatch.undo()
    while indexer.advance(path.stat().st_size, least=1):
        pass
    assert steps_of(path, cache) == list(range(1, 301))
