"""The numbers between steps of a run that is opened by its index."""

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cockpit import runs
from cockpit.figures import Figures
from cockpit.index.build import build
from cockpit.runs import Run
from cockpit.screens import opening as opened
from cockpit.screens.picture import Picture
from tests.ui.make_journal import Shape, entries, run_directory
from trainer.contract import messages as m

SHAPE = Shape(steps=600, gpus=2, crash=True, updates=True)


def opened_picture(run: Run, opening: opened.Opening) -> Picture:
    picture = Picture(run)
    picture.begin(opening.blocks, opening.before)
    picture.apply(opening.tail)
    return picture


def test_a_run_opened_by_its_index_has_all_its_numbers(tmp_path: Path) -> None:
    run_directory(tmp_path, SHAPE)
    run = runs.find(tmp_path, "example")
    build(run.journal, run.index)
    with run.journal.open("ab") as file:  # what came after the index was written
        late = m.Memory(
            rank=0, allocated=7, reserved=7, peak=7, host_pinned=0, offload_cpu=0, offload_nvme=0,
            step=600,
        )  # fmt: skip
        late.seq, late.time = 10**9, 2e9
        file.write(m.encode(late) + b"\n")
    opening = opened.read(run)
    picture = opened_picture(run, opening)
    assert picture.figures.tables["memory/0"]["allocated"].tolist() == [7]
    picture.figures.join(opened.charted(opening.index))
    whole = Figures()
    whole.take(entries(SHAPE))
    assert picture.figures.tables.keys() == whole.tables.keys()
    for name in whole.tables:
        known = picture.figures.tables[name]
        expected = [*whole.tables[name]["step"].tolist(), *([600] if name == "memory/0" else [])]
        if "/" in name or name == "host":  # sensors: the step is that of the newest entry near by
            assert np.abs(known["step"] - expected).max() <= 1
        else:
            assert known["step"].tolist() == expected
    assert picture.source.total == 600
    assert picture.series["step"].tolist() == list(range(1, 601))
    assert picture.series.restarts == [400]


def test_sensors_are_left_out_until_something_tells_the_step() -> None:
    journal = list(entries(Shape(steps=4, gpus=1)))
    system = next(entry for entry in journal if isinstance(entry, m.System))
    step = next(entry for entry in journal if isinstance(entry, m.Step))
    figures = Figures()
    figures.begin(journal)
    figures.take([system, step, system])
    assert list(figures.tables) == ["gpu/0", "host"]
    assert figures.tables["host"]["step"].tolist() == [step.step]


@given(st.integers(0, 10_000), st.integers(1, 500))
def test_a_selection_is_even_and_small_enough(count: int, most: int) -> None:
    found = opened.spread(count, most)
    assert min(count, most) // 2 <= len(found) <= most
    assert (np.diff(found) > 0).all()
    if len(found):
        assert 0 <= found[0] <= found[-1] < count
        gaps = np.diff(np.concatenate([[-1], found, [count]]))
        assert gaps.max() <= 2 * count / min(count, most) + 2


def test_a_selection_has_all_ranks_in_it() -> None:
    for ranks in (2, 3, 4, 8, 16):
        found = opened.spread(64_000, 1000) % ranks
        assert np.bincount(found, minlength=ranks).min() > 500 / ranks
