"""The archive: finds the experts' messages of any journal, as a reader of all of it would."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cockpit import archive as archives
from cockpit import runs
from cockpit.archive import Archive, Frames
from cockpit.index.build import build
from cockpit.loads import Kind
from tests.ui.make_journal import Shape, run_directory
from trainer.contract import messages as m


def scanned(path: Path, index: Path | None = None) -> Archive:
    archive = Archive(path, index)
    while not archive.scan():
        pass
    return archive


def journal(path: Path, *parts: m.Entry) -> Path:
    path.write_bytes(b"".join(b'{"seq":1,' + m.encode(part)[1:] for part in parts))
    return path


def counted(step: int, row: list[int] | None = None) -> m.Experts:
    row = row or [step, 2]
    return m.Experts(step=step, steps=1, layers=[0], counts=[row], tokens=sum(row))


def stepped(step: int) -> m.Step:
    return m.Step(
        step=step,
        loss=1.0,
        lr=1e-3,
        grad_norm=1.0,
        tokens=9,
        seconds=1.0,
        split={"data": 0.1 * step},
    )


def resumed(step: int) -> m.Hello:
    model = m.Model(
        layers=1, moe_layers=[0], experts=2, experts_per_token=1, hidden=1, vocabulary=1,
        parameters=1, trainable=1,
    )  # fmt: skip
    return m.Hello(
        protocol=1, world=1, ranks=[], model=model, step=step, steps=9, tokens_per_step=1, attempt=2
    )


@pytest.mark.parametrize("indexed", [0.0, 0.3, 0.7, 1.0])
def test_with_an_index_the_same_is_found(tmp_path: Path, indexed: float) -> None:
    run_directory(tmp_path, Shape(steps=200, crash=True, updates=True))
    run = runs.find(tmp_path, "example")
    whole = run.journal.read_bytes()
    run.journal.write_bytes(whole[: int(len(whole) * indexed)])
    if indexed:
        build(run.journal, run.index)
    run.journal.write_bytes(whole)
    with_index, without = scanned(run.journal, run.index), scanned(run.journal)
    kinds: tuple[Kind, ...] = ("experts", "updates")
    for kind in kinds:
        assert len(without.steps(kind)) == 200
        assert with_index.steps(kind).tolist() == without.steps(kind).tolist()
        assert with_index.offsets(kind).tolist() == without.offsets(kind).tolist()


def test_what_an_abandoned_attempt_counted_is_forgotten(tmp_path: Path) -> None:
    before = [counted(step) for step in (1, 2, 3, 4)]
    path = journal(tmp_path / "j", *before, resumed(2), counted(3, [70, 30]))
    archive = scanned(path)
    assert archive.steps("experts").tolist() == [1, 2, 3]
    load = archive.load(2)
    assert load is not None
    assert load.trail[-1].tolist() == [[70, 30]]


def test_a_growing_journal_is_followed_and_a_torn_line_waits(tmp_path: Path) -> None:
    path = journal(tmp_path / "j", counted(1))
    archive = scanned(path)
    line = m.encode(counted(2))
    with path.open("ab") as file:
        file.write(line[:20])
        file.flush()
        archive.scan()
        assert archive.steps("experts").tolist() == [1]
        file.write(line[20:])
    archive.scan()
    assert archive.steps("experts").tolist() == [1, 2]


def test_foreign_lines_and_a_missing_journal_are_passed_over(tmp_path: Path) -> None:
    path = journal(tmp_path / "j", counted(1), m.Log(level="info", text='"type":"experts"'))
    with path.open("ab") as file:
        file.write(b'\xff{"type":"experts"\n"type":"hello"\n[1]\n')
    assert scanned(path).steps("experts").tolist() == [1]
    missing = scanned(tmp_path / "none")
    assert len(missing.steps("updates")) == 0
    assert missing.read(0) is None


@settings(max_examples=15)
@given(st.integers(64, 4000))
def test_pieces_of_any_size_find_the_same(piece: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(archives, "PIECE", piece)
        with tempfile.TemporaryDirectory() as folder:
            before = (part for n in range(1, 24) for part in (stepped(n), counted(n)))
            after = (part for n in range(19, 31) for part in (stepped(n), counted(n)))
            archive = scanned(journal(Path(folder) / "j", *before, resumed(18), *after))
            assert archive.steps("experts").tolist() == list(range(1, 31))
            for index in (0, 7, 29):
                entry = archive.read(int(archive.offsets("experts")[index]))
                assert isinstance(entry, m.Experts)
                assert entry.step == index + 1


@pytest.mark.parametrize("budget", [8, 40, 10_000])
def test_a_history_keeps_evenly_spread_windows_within_its_budget(
    tmp_path: Path, budget: int
) -> None:
    path = journal(tmp_path / "j", *(counted(step) for step in range(1, 41)))
    archive = scanned(path)
    frames = Frames(archive, "experts", budget)
    while frames.fill(7) < 1:
        pass
    steps, values = frames.layer(0)
    assert 8 * len(steps) <= max(budget, 16)
    assert steps.tolist() == list(range(1, 41, frames.stride))
    assert values.tolist() == [[step, 2] for step in steps.tolist()]


def test_a_history_grows_with_the_run_and_reads_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = journal(tmp_path / "j", *(counted(step) for step in range(1, 11)))
    archive = scanned(path)
    frames = Frames(archive, "experts")
    frames.fill(100)
    with path.open("ab") as file:
        file.write(m.encode(counted(11)))
    archive.scan()
    read: list[int] = []
    original = archive.read
    monkeypatch.setattr(archive, "read", lambda at: read.append(at) or original(at))
    assert frames.fill(100) == 1
    assert len(read) == 1
    assert frames.layer(0)[0].tolist() == list(range(1, 12))


def test_update_norms_are_read_with_what_came_before(tmp_path: Path) -> None:
    moved = [
        m.Updates(step=n, steps=1, layers=[3], norms=[[n / 10, None]], tokens=[[n, 5]])
        for n in range(1, 31)
    ]
    archive = scanned(journal(tmp_path / "j", *moved))
    found = archive.movement(29)
    assert found is not None
    assert found.layers == [3]
    assert found.norms[0, 0] == 3.0
    assert np.isnan(found.norms[0, 1])
    assert len(found.trail) == 24
    assert found.trail[0][0, 0] == pytest.approx(0.7)
