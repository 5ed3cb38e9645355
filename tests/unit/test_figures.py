"""What the journal says between steps, as tables and as metrics."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cockpit import metrics
from cockpit.figures import Figures, Table
from cockpit.peaks import bf16_peak
from cockpit.source import Source
from tests.ui.make_journal import Shape, entries
from trainer.contract import messages as m


def source_of(journal: list[m.Entry]) -> Source:
    source = Source()
    source.series.extend([entry for entry in journal if isinstance(entry, m.Step)])
    source.figures.take(journal)
    return source


def names(source: Source) -> list[str]:
    return [metric.name for metric in metrics.available(source)]


def test_a_run_lists_the_metrics_that_it_has_numbers_for() -> None:
    full = source_of(list(entries(Shape(steps=50, gpus=2, updates=True))))
    for name in ("loss", "eval_loss", "lr", "mfu", "split", "memory", "share", "aux_loss",
                 "updates", "gpu_power", "host_ram"):  # fmt: skip
        assert name in names(full)
    assert "offload_nvme" not in names(full)  # always zero
    bare = source_of([e for e in entries(Shape(steps=5)) if isinstance(e, m.Step)])
    assert names(bare) == ["loss", "lr", "grad_norm", "tokens_per_second", "seconds", "split"]
    assert names(Source()) == []


def test_memory_has_a_line_for_each_rank() -> None:
    source = source_of(list(entries(Shape(steps=5, ranks=3))))
    lines = metrics.find("memory").among(source)
    assert [line.label for line in lines] == ["rank 0", "rank 1", "rank 2"]
    newest = lines[2].track["allocated"][-1] * lines[2].scale
    assert 0.9 <= newest <= 1.0  # GiB


def test_what_swapping_costs_has_a_line_for_each_rank_that_swaps() -> None:
    samples = [
        m.Memory(
            step=step, rank=rank, allocated=1, reserved=1, peak=1, host_pinned=0, offload_cpu=0,
            offload_nvme=9, nvme_read=None if step == 1 else 3 * 2.0**20, nvme_write=2.0**20,
            offload_wait=0.25,
        )
        for step in (1, 2)
        for rank in (0, 1)
    ]  # fmt: skip
    source = source_of(list(samples))
    read, wait = (metrics.find(name).among(source) for name in ("nvme_read", "offload_wait"))
    assert [line.label for line in read] == ["rank 0", "rank 1"]
    assert math.isnan(read[1].track["nvme_read"][0])  # not known in the first sample
    assert read[1].track["nvme_read"][-1] * read[1].scale == pytest.approx(3)
    assert wait[0].track["offload_wait"][-1] * wait[0].scale == pytest.approx(25)
    assert "nvme_read" not in names(source_of(list(entries(Shape(steps=5)))))


def test_mfu_is_work_done_over_work_possible() -> None:
    journal = list(entries(Shape(steps=5, gpus=2)))
    line = metrics.find("mfu").among(source_of(journal))[0]
    step = [entry for entry in journal if isinstance(entry, m.Step)][-1]
    possible = 2 * 989e12
    expected = 100 * step.tokens / step.seconds * 1.09e11 / possible
    assert line.track[line.column][-1] * line.scale == pytest.approx(expected, rel=1e-5)


def test_there_is_no_mfu_of_an_unknown_gpu_or_of_a_cpu() -> None:
    journal = list(entries(Shape(steps=5, gpus=1)))
    source = source_of(journal)
    source.figures.gpu_name = "NVIDIA Something New"
    assert "mfu" not in names(source)
    assert "mfu" not in names(source_of(list(entries(Shape(steps=5)))))


@pytest.mark.parametrize(
    ("name", "tera"),
    [
        ("NVIDIA H100 80GB HBM3", 989),
        ("NVIDIA H100 PCIe", 756),
        ("NVIDIA H100 NVL", 835),
        ("NVIDIA H200", 989),
        ("NVIDIA A100-SXM4-80GB", 312),
        ("NVIDIA L40S", 362),
        ("NVIDIA L4", 121),
        ("NVIDIA H20", 148),
        ("NVIDIA GB200", 2500),
        ("NVIDIA GeForce RTX 4090", 165),
        ("Tesla T4", None),
        ("", None),
    ],
)
def test_peaks_by_name(name: str, tera: float | None) -> None:
    assert bf16_peak(name) == (None if tera is None else tera * 1e12)


def test_shares_are_relative_to_an_even_one() -> None:
    figures = Figures()
    counts = [[5, 5, 5, 5], [0, 2, 12, 6]]
    figures.take([m.Experts(step=1, steps=1, layers=[0, 1], counts=counts, tokens=20)])
    table = figures.tables["share"]
    assert (table["largest"][0], table["smallest"][0]) == (pytest.approx(2.4), 0)
    figures.take([m.Experts(step=2, steps=1, layers=[0], counts=[[0, 0]], tokens=0)])
    assert len(table) == 1


def test_what_a_checkpoint_forgets_is_forgotten_everywhere() -> None:
    figures = Figures()
    journal = list(entries(Shape(steps=60, crash=True)))
    figures.take(journal)
    hello = [entry for entry in journal if isinstance(entry, m.Hello)][-1]
    assert hello.step == 25
    steps = figures.tables["share"]["step"]
    assert steps.tolist() == list(range(1, 61))
    assert (np.diff(figures.tables["host"]["step"]) >= 0).all()


rows = st.lists(
    st.tuples(st.integers(0, 30), st.just(0.0), st.one_of(st.none(), st.floats(-9, 9, width=32)))
)


@given(rows, st.integers(1, 5))
def test_rows_for_earlier_steps_replace_what_came_after(
    given_rows: list[tuple[int, float, float | None]], batch: int
) -> None:
    table = Table(["value"])
    for first in range(0, len(given_rows), batch):
        table.extend(given_rows[first : first + batch])
    naive: list[tuple[int, float, float | None]] = []
    for row in given_rows:
        naive = [one for one in naive if one[0] <= row[0]] + [row]
    assert table["step"].tolist() == [row[0] for row in naive]
    expected = [math.nan if row[2] is None else row[2] for row in naive]
    np.testing.assert_array_equal(table["value"], np.array(expected, np.float32))


def test_what_came_earlier_can_be_known_later() -> None:
    journal = list(entries(Shape(steps=60, gpus=2)))
    whole, late = Figures(), Figures()
    whole.take(journal)
    late.take(journal[len(journal) // 2 :])
    epoch = late.tables["share"].epoch
    late.fill(journal[: len(journal) // 2])
    assert late.tables["share"].intact(epoch, 10) == 0
    assert late.tables.keys() == whole.tables.keys()
    for name in ("share", "balance", "eval", "memory/1"):
        assert late.tables[name]["step"].tolist() == whole.tables[name]["step"].tolist()
    assert (late.hello, late.gpu_name) == (whole.hello, whole.gpu_name)


def test_of_what_came_earlier_steps_that_were_done_again_are_left_out() -> None:
    older, known = Table(["value"]), Table(["value"])
    older.extend([(n, 0.0, 1.0) for n in range(1, 8)])
    known.extend([(n, 0.0, 2.0) for n in range(5, 9)])
    known.fill(older)
    assert known["step"].tolist() == [1, 2, 3, 4, 5, 5, 6, 7, 8]
    assert known["value"].tolist() == [1, 1, 1, 1, 1, 2, 2, 2, 2]


@given(st.lists(st.integers(0, 40), max_size=20), st.integers(1, 25), st.integers(1, 4))
def test_tokens_so_far_beside_rows_of_any_step(at: list[int], size: int, batch: int) -> None:
    source, table = Source(), Table(["value"])
    source.series.extend([
        m.Step(step=n, loss=1, lr=1, grad_norm=1, tokens=n, seconds=1, split={}, time=float(n))
        for n in range(1, size + 1)
    ])  # fmt: skip
    for first in range(0, len(at), batch):
        table.extend([(n, 0.0, 1.0) for n in sorted(at)[first : first + batch]])
        source.along(table, "tokens")
    so_far = [sum(range(1, min(n, size) + 1)) for n in sorted(at)]
    assert source.along(table, "tokens").tolist() == so_far
    source.series.rewind(3)
    after = [sum(range(1, min(n, size, 3) + 1)) for n in sorted(at)]
    assert source.along(table, "tokens").tolist() == after
    assert source.along(source.series, "tokens").tolist() == [1, 3, 6][: min(size, 3)]


def test_time_counts_from_the_start_of_the_first_step() -> None:
    source = Source(total=10)
    source.series.extend([
        m.Step(step=1, loss=1, lr=1, grad_norm=1, tokens=5, seconds=2, split={}, time=100.0),
        m.Step(step=2, loss=1, lr=1, grad_norm=1, tokens=5, seconds=2, split={}, time=103.0),
    ])  # fmt: skip
    assert source.origin("time") == 98
    assert source.end("time") == 5
    assert source.end("tokens") == 10
    assert (source.whole("step"), source.whole("time"), source.whole("tokens")) == (10, None, None)
