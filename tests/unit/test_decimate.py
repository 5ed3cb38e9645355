"""Bands, smoothing and the ends of axes against naive versions of themselves."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cockpit.decimate import Bands, Trace, domain_end, merged, smoothed
from cockpit.figures import Table

values = st.one_of(st.none(), st.floats(-1e6, 1e6, width=32))


@st.composite
def attempts(draw: st.DrawFn) -> list[tuple[int, float, float | None]]:
    """Rows in journal order: an attempt starts at or before the end of the one before it, and
    steps may be skipped or share a row's step."""
    rows: list[tuple[int, float, float | None]] = []
    last = 0
    for _ in range(draw(st.integers(1, 4))):
        step = draw(st.integers(0, last))
        for _ in range(draw(st.integers(1, 12))):
            step += draw(st.integers(0, 3))
            rows.append((step, float(len(rows)), draw(values)))
        last = step
    return rows


def naive_bands(x: list[int], y: list[float], start: float, end: float, columns: int):
    edges = [start + (end - start) * k / columns for k in range(columns + 1)]
    for first, last in pairwise(edges):
        inside = [v for at, v in zip(x, y, strict=True) if first <= at < last]
        good = [v for v in inside if not math.isnan(v)]
        before = [n for n, at in enumerate(x) if at < last]
        low, high = (min(good), max(good)) if good else (math.nan, math.nan)
        yield low, high, sum(good), len(good), before[-1] if before else -1, len(inside)


@given(attempts(), st.integers(1, 40), st.integers(0, 10), st.integers(1, 60), st.integers(1, 5))
def test_bands_are_the_figures_of_each_part_however_they_grew(
    rows: list[tuple[int, float, float | None]], columns: int, start: int, length: int, batch: int
) -> None:
    table = Table(["value"])
    trace = Trace(table, "value")
    for first in range(0, len(rows), batch):
        table.extend(rows[first : first + batch])
        bands = trace.follow(table["step"], (start, start + length + 0.5), columns)
    y = table["value"].astype(float).tolist()
    expected = naive_bands(table["step"].tolist(), y, start, start + length + 0.5, columns)
    got = zip(bands.low, bands.high, bands.total, bands.good, bands.last, bands.count, strict=True)
    np.testing.assert_allclose(np.array(list(got)), np.array(list(expected)), atol=1e-6)


def test_a_trace_starts_anew_for_another_span_axis_or_origin() -> None:
    table = Table(["value"])
    table.extend([(n, 100.0 + n, float(n)) for n in range(10)])
    trace = Trace(table, "value")
    assert trace.follow(table["step"], (0, 10), 2).high.tolist() == [4, 9]
    assert trace.follow(table["step"], (0, 20), 2).high[0] == 9
    assert trace.follow(table["time"], (0, 10), 2, 100.0, "time").high.tolist() == [4, 9]
    assert trace.follow(table["time"], (0, 10), 2, 105.0, "time").high[0] == 9


def bands_of(points: list[list[float]]) -> Bands:
    """One column for each list."""
    table = Table(["value"])
    table.extend([(n, 0.0, v) for n, column in enumerate(points) for v in column])
    return Trace(table, "value").follow(table["step"], (0, len(points)), len(points))


columns = st.lists(
    st.lists(st.one_of(st.just(math.nan), st.floats(-100, 100, width=32)), max_size=4),
    min_size=1,
    max_size=25,
)


@given(columns, st.floats(0.5, 20), st.floats(1, 5))
def test_smoothing_is_the_weighted_mean_of_what_came_before(
    points: list[list[float]], half_life: float, least: float
) -> None:
    got = smoothed(bands_of(points), half_life, least)
    total = weight = 0.0
    last = None
    for n, column in enumerate(points):
        good = [v for v in column if not math.isnan(v)]
        if not good:
            assert math.isnan(got[n])
            continue
        halves = min((n - last) / half_life, len(good) / least) if last is not None else 0.0
        total = total / 2**halves + sum(good)
        weight = weight / 2**halves + len(good)
        last = n
        assert got[n] == pytest.approx(total / weight, abs=1e-3)


def test_new_points_leave_the_smoothed_line_before_them_as_it_was() -> None:
    points = [[float(n % 7)] for n in range(40)]
    before, after = smoothed(bands_of(points[:30]), 3), smoothed(bands_of(points), 3)
    assert before.tolist() == after[:30].tolist()


def test_without_smoothing_the_line_is_the_mean_of_each_column() -> None:
    assert smoothed(bands_of([[1, 3], [5], [2, 2]]), 0).tolist() == [2, 5, 2]


@given(columns, columns)
def test_merged_bands_are_those_of_all_points(
    first: list[list[float]], second: list[list[float]]
) -> None:
    size = min(len(first), len(second))
    both = [a + b for a, b in zip(first[:size], second[:size], strict=True)]
    got, expected = merged([bands_of(first[:size]), bands_of(second[:size])]), bands_of(both)
    for name in ("low", "high", "total", "good", "count"):
        np.testing.assert_allclose(getattr(got, name), getattr(expected, name), atol=1e-3)


@given(st.integers(1, 10**7), st.one_of(st.none(), st.integers(1, 10**7)))
def test_the_axis_holds_the_last_step_and_is_not_much_longer(last: int, total: int | None) -> None:
    end = domain_end(last, total)
    assert end >= last
    assert end <= max(2 * last, 20, 250)


def test_the_axis_seldom_changes() -> None:
    assert len({domain_end(step, 100_000) for step in range(1, 100_001)}) < 40


def test_an_axis_of_time_ends_at_whole_hours() -> None:
    units = (1.0, 60.0, 3600.0, 86400.0)
    assert domain_end(2.2 * 3600, None, units) == 3 * 3600
    assert domain_end(70, None, units) == 90
