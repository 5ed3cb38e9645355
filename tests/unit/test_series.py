"""Columns, rewinding, bands and smoothing against naive versions of themselves."""

import math
import time
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cockpit.series import Bands, Series, Smooth, domain_end
from trainer.contract.messages import Step

losses = st.one_of(st.none(), st.floats(-1e6, 1e6, width=32))


def step(number: int, loss: float | None = 1.0) -> Step:
    return Step(
        step=number, loss=loss, lr=0.1, grad_norm=None, tokens=100, seconds=0.5, split={},
        time=float(number),
    )  # fmt: skip


@st.composite
def attempts(draw: st.DrawFn) -> list[Step]:
    """Steps in journal order: every attempt starts at or before the end of the one before."""
    found: list[Step] = []
    last = 0
    for _ in range(draw(st.integers(1, 4))):
        first = draw(st.integers(0, last)) + 1
        count = draw(st.integers(1, 12))
        found += [step(first + n, draw(losses)) for n in range(count)]
        last = first + count - 1
    return found


@given(attempts(), st.integers(1, 7))
def test_a_later_attempt_replaces_what_it_does_again(steps: list[Step], batch: int) -> None:
    series = Series()
    for start in range(0, len(steps), batch):
        series.extend(steps[start : start + batch])
    naive: dict[int, float] = {}
    for one in steps:
        naive = {number: loss for number, loss in naive.items() if number < one.step}
        naive[one.step] = math.nan if one.loss is None else one.loss
    assert series["step"].tolist() == list(naive)
    np.testing.assert_array_equal(series["loss"], np.array(list(naive.values()), np.float32))
    assert series.gaps("loss") == sum(math.isnan(loss) for loss in naive.values())


def test_an_attempt_that_goes_on_from_a_checkpoint_is_marked() -> None:
    series = Series()
    series.extend([step(n) for n in range(1, 11)])
    series.rewind(7)
    assert series["step"].tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert series.restarts == [7]
    series.extend([step(8)])
    assert series["step"][-1] == 8


def test_speed_is_tokens_over_seconds_and_none_without_time() -> None:
    series = Series()
    late = step(2)
    late.seconds = 0.0
    series.extend([step(1), late])
    assert series["tokens_per_second"][0] == 200
    assert math.isnan(series["tokens_per_second"][1])


def naive_bands(x: list[int], y: list[float], start: float, end: float, columns: int):
    edges = [start + (end - start) * k / columns for k in range(columns + 1)]
    for first, last in pairwise(edges):
        inside = [v for at, v in zip(x, y, strict=True) if first <= at < last]
        good = [v for v in inside if not math.isnan(v)]
        before = [n for n, at in enumerate(x) if at < last]
        low, high = (min(good), max(good)) if good else (math.nan, math.nan)
        yield low, high, before[-1] if before else -1, len(inside)


@given(attempts(), st.integers(1, 40), st.integers(0, 10), st.integers(1, 60), st.integers(1, 5))
def test_bands_are_the_extremes_of_each_part_however_they_grew(
    steps: list[Step], columns: int, start: int, length: int, batch: int
) -> None:
    series, bands = Series(), Bands.empty(start, start + length + 0.5, columns)
    epoch = size = 0
    for first in range(0, len(steps), batch):
        series.extend(steps[first : first + batch])
        bands.update(series["step"], series["loss"], series.intact(epoch, size))
        epoch, size = series.epoch, len(series)
    y = series["loss"].astype(float).tolist()
    expected = naive_bands(series["step"].tolist(), y, start, start + length + 0.5, columns)
    got = zip(bands.low, bands.high, bands.last, bands.count, strict=True)
    np.testing.assert_array_equal(np.array(list(got)), np.array(list(expected)))


@given(attempts(), st.floats(2, 50), st.integers(1, 9))
def test_smoothing_is_the_weighted_mean_of_what_came_before(
    steps: list[Step], half_life: float, batch: int
) -> None:
    series, smooth = Series(), Smooth(half_life)
    for first in range(0, len(steps), batch):
        series.extend(steps[first : first + batch])
        smooth.follow(series, "loss")
    decay, total, weight = 0.5 ** (1 / half_life), 0.0, 0.0
    for number, value in enumerate(series["loss"].astype(float).tolist()):
        good = not math.isnan(value)
        total = decay * (total + (value if good else 0.0))
        weight = decay * (weight + good)
        mean = smooth.values[number]
        if weight:
            assert mean == pytest.approx(total / weight, rel=1e-4, abs=1.0)
        else:
            assert math.isnan(mean)


@given(st.integers(1, 10**7), st.one_of(st.none(), st.integers(1, 10**7)))
def test_the_axis_holds_the_last_step_and_is_not_much_longer(last: int, total: int | None) -> None:
    end = domain_end(last, total)
    assert end >= last
    assert end <= max(2 * last, 20, 250)


def test_the_axis_seldom_changes() -> None:
    assert len({domain_end(step, 100_000) for step in range(1, 100_001)}) < 40


def test_a_million_points_stay_fast() -> None:
    x = np.arange(1, 1_000_001)
    y = np.random.default_rng(0).normal(size=len(x)).astype(np.float32)
    bands = Bands.empty(0, 1_500_000, 300)
    bands.update(x[:-1], y[:-1], 0)
    started = time.perf_counter()
    for _ in range(100):
        bands.update(x, y, len(x) - 1)
    assert time.perf_counter() - started < 1.0  # 100 appends; measured: 3 ms
