"""The chart against a naive drawing, dot for dot."""

import math
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cockpit.series import Bands
from cockpit.widgets.grid import Ink
from cockpit.widgets.render_chart import (
    Chart,
    Curve,
    Scale,
    braille,
    chart,
    dot_rows,
    dots,
    joined,
    plot,
    scale_for,
    tick_label,
    waiting,
)

NUMBERING = ((1, 4), (2, 5), (3, 6), (7, 8))
"""The dots of a braille cell, as the Unicode standard numbers them."""
values = st.one_of(st.just(math.nan), st.floats(-10, 10))


@given(st.integers(1, 5), st.integers(1, 5), st.data())
def test_a_braille_cell_has_the_dots_of_its_pattern(h: int, w: int, data: st.DataObject) -> None:
    bits = data.draw(st.lists(st.booleans(), min_size=8 * h * w, max_size=8 * h * w))
    pattern = np.array(bits).reshape(4 * h, 2 * w)
    for row in range(h):
        for column in range(w):
            code = 0x2800
            for y in range(4):
                for x in range(2):
                    if pattern[4 * row + y, 2 * column + x]:
                        code += 1 << (NUMBERING[y][x] - 1)
            shown = int(braille(pattern)[row, column])
            assert shown == (code if code > 0x2800 else ord(" "))


def naive_join(low: list[float], high: list[float], count: list[int]):
    """Column by column: empty ones between their neighbours, then each up to the one before."""
    low, high = list(low), list(high)
    known = [n for n, number in enumerate(count) if number]
    if len(known) < 2:
        return low, high
    filled_low, filled_high = low[:], high[:]
    for left, right in pairwise(known):
        a, b = (low[left] + high[left]) / 2, (low[right] + high[right]) / 2
        for n in range(left + 1, right):
            filled_low[n] = filled_high[n] = a + (b - a) * (n - left) / (right - left)
    out_low, out_high = filled_low[:], filled_high[:]
    for n in range(1, len(low)):
        if filled_low[n] > filled_high[n - 1]:
            out_low[n] = filled_high[n - 1]
        if filled_high[n] < filled_low[n - 1]:
            out_high[n] = filled_low[n - 1]
    return out_low, out_high


@st.composite
def bands(draw: st.DrawFn) -> Bands:
    columns = 2 * draw(st.integers(1, 8))
    found = Bands.empty(0, 10, columns)
    for n in range(columns):
        found.count[n] = draw(st.integers(0, 2))
        if found.count[n]:
            pair = sorted((draw(values), draw(values)))
            if not any(map(math.isnan, pair)):
                found.low[n], found.high[n] = pair
    return found


@given(bands())
def test_columns_are_joined_to_one_line(shown: Bands) -> None:
    got = joined(shown.low, shown.high, shown.count)
    expected = naive_join(shown.low.tolist(), shown.high.tolist(), shown.count.tolist())
    np.testing.assert_allclose(np.array(got), np.array(expected), atol=1e-9)


@given(bands(), st.integers(1, 6))
def test_the_plot_has_the_dots_of_a_naive_one(shown: Bands, height: int) -> None:
    rows, width = 4 * height, len(shown.low) // 2
    scale = Scale(-8.0, 8.0, 4.0)
    low, high = joined(shown.low, shown.high, shown.count)
    pattern = np.zeros((rows, 2 * width), bool)
    for column, (bottom, top) in enumerate(zip(low.tolist(), high.tolist(), strict=True)):
        if math.isnan(bottom):
            continue
        first, last = (
            min(max(round((8 - v) / 16 * (rows - 1)), 0), rows - 1) for v in (top, bottom)
        )
        pattern[first : last + 1, column] = True
    none = np.full(2 * width, np.nan)
    drawn = plot(width, height, Curve(shown, none), scale)
    np.testing.assert_array_equal(drawn.chars, braille(pattern))


def test_the_smoothed_line_runs_over_the_band_in_another_ink() -> None:
    shown = Bands.empty(0, 4, 4)
    shown.count[:], shown.low[:], shown.high[:] = 1, 0.0, 4.0
    drawn = plot(2, 2, Curve(shown, np.full(4, 4.0)), Scale(0.0, 4.0, 2.0))
    assert drawn.text(0) == "⠉⠉"
    assert drawn.inks[0].tolist() == [Ink.LINE, Ink.LINE]
    assert drawn.text(1) == "⣿⣿"
    assert drawn.inks[1].tolist() == [Ink.BAND, Ink.BAND]


def test_dots_of_a_gap_are_none() -> None:
    nothing = dot_rows(np.array([math.nan]), Scale(0, 1, 1), 8)
    assert not dots(nothing, nothing, 8).any()


@given(st.floats(-1e6, 1e6), st.floats(0, 1e6), st.integers(3, 40))
def test_a_scale_holds_its_range_in_a_few_ticks(low: float, span: float, rows: int) -> None:
    scale = scale_for(low, low + span, rows)
    assert scale.bottom <= low + 1e-6 * scale.step
    assert scale.top >= low + span - 1e-6 * scale.step
    assert scale.top > scale.bottom
    assert 2 <= len(scale.ticks()) <= 9


def test_a_scale_stays_while_it_will_do() -> None:
    before = scale_for(2.0, 8.0, 12)
    assert scale_for(2.1, 7.0, 12, before) is before
    assert scale_for(2.1, 2.5, 12, before) is not before
    assert scale_for(2.1, 9.5, 12, before).top >= 9.5
    assert scale_for(math.nan, math.nan, 12, before) is before


def test_tick_labels_have_the_decimals_they_need() -> None:
    assert [tick_label(v, 0.25) for v in (0.25, 2.0)] == ["0.25", "2.00"]
    assert tick_label(2.5, 2.5) == "2.5"
    assert tick_label(20_000, 5000) == "20.0k"
    assert tick_label(3, 1) == "3"


def test_a_chart_says_what_it_shows() -> None:
    shown = Bands.empty(0, 100, 2 * (60 - 8))
    shown.count[:], shown.low[:], shown.high[:] = 1, 2.0, 3.0
    smooth = np.full(len(shown.low), 2.5)
    lines = chart(60, 12, Chart("loss", Curve(shown, smooth), Scale(2, 3, 0.5), 2.25, 3, (50,)))
    text = lines.lines()
    assert text[0].startswith("loss ─")
    assert "2.2500 smoothed 2.5000 · 3 not finite" in text[0]
    assert text[1].split()[0] == "3.0"
    assert "↻" in text[-1]
    assert text[-1].split()[:2] == ["step", "0"]


@given(st.integers(1, 130), st.integers(1, 50))
def test_any_size_draws(width: int, height: int) -> None:
    shown = Bands.empty(0, 100, 2 * max(width - 8, 1))
    shown.count[:], shown.low[:], shown.high[:] = 1, 2.0, 3.0
    smooth = np.full(len(shown.low), 2.5)
    grid = chart(width, height, Chart("loss", Curve(shown, smooth), Scale(2, 3, 0.5), 2.25))
    assert (grid.width, grid.height) == (width, height)
    assert waiting(width, height, "loss", "loading the model, 12 s").width == width
