"""Where axes begin and end, and what is written on them."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cockpit.decimate import Bands
from cockpit.widgets.render_axes import (
    Scale,
    elapsed,
    scale_for,
    tick_label,
    value_range,
    x_ticks,
)


@given(st.floats(-1e6, 1e6), st.floats(0, 1e6), st.integers(3, 40))
def test_a_scale_holds_its_range_in_a_few_ticks(low: float, span: float, rows: int) -> None:
    scale = scale_for(low, low + span, rows)
    step = scale.ticks[1] - scale.ticks[0]
    assert scale.bottom <= low + 1e-6 * step
    assert scale.top >= low + span - 1e-6 * step
    assert scale.top > scale.bottom
    assert 2 <= len(scale.ticks) <= 9


@given(st.floats(1e-9, 1e6), st.floats(1, 1e12), st.integers(3, 40))
def test_a_logarithmic_scale_too(low: float, ratio: float, rows: int) -> None:
    high = low * ratio
    scale = scale_for(low, high, rows, None, log=True)
    assert scale.bottom <= low * (1 + 1e-6)
    assert scale.top >= high * (1 - 1e-6)
    assert 1 <= len(scale.ticks) <= 9
    assert all(scale.bottom * (1 - 1e-6) <= t <= scale.top * (1 + 1e-6) for t in scale.ticks)
    if scale.log:
        assert scale.bottom > 0


def test_there_is_no_logarithm_of_nothing() -> None:
    assert not scale_for(0.0, 5.0, 12, None, log=True).log
    assert not scale_for(-1.0, 5.0, 12, None, log=True).log


@given(st.lists(st.floats(0.001, 1000), min_size=2, max_size=20), st.booleans())
def test_larger_values_are_never_drawn_lower(values: list[float], log: bool) -> None:
    scale = scale_for(min(values), max(values), 10, None, log)
    rows = scale.rows(np.array(sorted(values)), 40)
    assert (np.diff(rows) <= 0).all()
    assert rows.min() >= 0
    assert rows.max() <= 39


def test_a_scale_stays_while_it_will_do() -> None:
    before = scale_for(2.0, 8.0, 12)
    assert scale_for(2.1, 7.0, 12, before) is before
    assert scale_for(2.1, 2.5, 12, before) is not before
    assert scale_for(2.1, 9.5, 12, before).top >= 9.5
    assert scale_for(math.nan, math.nan, 12, before) is before
    assert scale_for(2.1, 7.0, 12, before, log=True) is not before


def test_ticks_of_a_logarithmic_axis_are_powers_or_between() -> None:
    wide = scale_for(0.0012, 95.0, 30, None, log=True)
    assert [wide.label(t) for t in wide.ticks] == ["0.001", "0.01", "0.1", "1", "10", "100"]
    near = scale_for(1.2, 9.0, 30, None, log=True)
    assert [near.label(t) for t in near.ticks] == ["1", "2", "5", "10"]


def test_tick_labels_have_the_decimals_they_need() -> None:
    assert [tick_label(v, 0.25) for v in (0.25, 2.0)] == ["0.25", "2.00"]
    assert tick_label(2.5, 2.5) == "2.5"
    assert tick_label(20_000, 5000) == "20.0k"
    assert tick_label(3, 1) == "3"


def bands_of(low: list[float], high: list[float]) -> Bands:
    found = Bands.empty(0, 1, len(low))
    found.low[:], found.high[:] = low, high
    found.good[:] = np.isfinite(found.low)
    return found


def test_the_first_steps_of_a_long_run_do_not_press_the_rest_flat() -> None:
    shown = bands_of([9.0, *[2.0] * 99], [10.0, *[3.0] * 99])
    assert value_range([shown], every=False) == (2, 3)
    assert value_range([shown], every=True) == (2, 10)
    assert value_range([shown, bands_of([1.0], [4.0])], every=False) == (1, 4)
    assert math.isnan(value_range([bands_of([math.nan], [math.nan])], every=False)[0])


def test_a_logarithmic_range_is_of_what_is_above_zero() -> None:
    assert value_range([bands_of([-1.0, 0.0, 0.5], [0.2, 3.0, 0.7])], True, log=True) == (0.2, 3)
    assert math.isnan(value_range([bands_of([-1.0], [0.0])], True, log=True)[0])


@given(
    st.sampled_from(["step", "tokens", "time"]), st.floats(0, 1e13), st.floats(1, 1e12),
    st.integers(20, 250),
)  # fmt: skip
def test_the_labels_of_an_x_axis_fit_and_differ(
    axis: str, start: float, span: float, width: int
) -> None:
    assume(span > start * 1e-6)
    ticks = x_ticks(axis, start, start + span, width)
    labels = [label for _, label in ticks]
    assert len(ticks) <= max(2, width // 14) + 1
    slack = 1e-6 * span + 1e-9 * start
    assert all(start - slack <= tick <= start + span + slack for tick, _ in ticks)
    if axis != "time" or start + span < 1e6:
        assert len(set(labels)) == len(labels)


@pytest.mark.parametrize(
    ("axis", "start", "end", "labels"),
    [
        ("step", 0, 120, ["0", "20", "40", "60", "80", "100", "120"]),
        ("step", 523_000, 523_400, ["523,000", "523,100", "523,200", "523,300", "523,400"]),
        ("step", 0, 1_000_000, ["0", "0.2M", "0.4M", "0.6M", "0.8M", "1.0M"]),
        ("tokens", 0, 3e9, ["0", "0.5G", "1.0G", "1.5G", "2.0G", "2.5G", "3.0G"]),
        ("time", 59.6, 60.4, ["59.6s", "59.8s", "1m0.0s", "1m0.2s", "1m0.4s"]),
        ("time", 0, 300, ["0s", "1m", "2m", "3m", "4m", "5m"]),
        ("time", 0, 10800, ["0s", "30m", "1h00m", "1h30m", "2h00m", "2h30m", "3h00m"]),
    ],
)
def test_x_labels(axis: str, start: float, end: float, labels: list[str]) -> None:
    assert [label for _, label in x_ticks(axis, start, end, 100)] == labels


def test_times_since_the_start() -> None:
    times = (45, 90, 3600, 3725, 90_000, 86_400, 0.5)
    assert [elapsed(t) for t in times] == [
        "45s", "1m30s", "1h00m", "1h02m05s", "1d1h", "1d", "0.5s",
    ]  # fmt: skip


def test_scale_rows_put_what_is_beyond_the_axis_at_its_edge() -> None:
    log = Scale(0.1, 10.0, (1.0,), True)
    rows = log.rows(np.array([100.0, 10.0, 1.0, 0.1, 0.0, -3.0, math.nan]), 9)
    assert rows.tolist() == [0, 0, 4, 8, 8, 8, -1]
