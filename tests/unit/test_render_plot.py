"""The inside of a chart against a naive drawing, dot for dot."""

import math
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cockpit.decimate import Bands
from cockpit.widgets.glyphs import ASCII, COLOURLESS, TEXTURES, UNICODE
from cockpit.widgets.grid import Grid, Ink
from cockpit.widgets.render_axes import Scale
from cockpit.widgets.render_plot import (
    Curve,
    bits_of,
    curve_of,
    dots,
    heights,
    joined,
    plot,
    stack,
)

NUMBERING = ((1, 4), (2, 5), (3, 6), (7, 8))
"""The dots of a braille cell, as the Unicode standard numbers them."""
values = st.one_of(st.just(math.nan), st.floats(-10, 10))
LINEAR = Scale(-8.0, 8.0, (-8.0, 0.0, 8.0))
LOG = Scale(0.1, 10.0, (0.1, 1.0, 10.0), True)


@given(st.integers(1, 5), st.integers(1, 5), st.data())
def test_a_braille_cell_has_the_dots_of_its_pattern(h: int, w: int, data: st.DataObject) -> None:
    bits = data.draw(st.lists(st.booleans(), min_size=8 * h * w, max_size=8 * h * w))
    pattern = np.array(bits).reshape(4 * h, 2 * w)
    shown = UNICODE.cells[bits_of(pattern)]
    for row in range(h):
        for column in range(w):
            code = 0x2800
            for y in range(4):
                for x in range(2):
                    if pattern[4 * row + y, 2 * column + x]:
                        code += 1 << (NUMBERING[y][x] - 1)
            assert int(shown[row, column]) == (code if code > 0x2800 else ord(" "))


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


def bands_of(points: list[list[float]]) -> Bands:
    found = Bands.empty(0, 10, len(points))
    for n, column in enumerate(points):
        good = [v for v in column if not math.isnan(v)]
        found.count[n], found.good[n], found.total[n] = len(column), len(good), sum(good)
        if good:
            found.low[n], found.high[n] = min(good), max(good)
    return found


def columns_of(width: int) -> st.SearchStrategy[list[list[float]]]:
    size = 2 * width
    return st.lists(st.lists(values, max_size=2), min_size=size, max_size=size)


@given(columns_of(5))
def test_columns_are_joined_to_one_line(points: list[list[float]]) -> None:
    shown = bands_of(points)
    got = joined(shown.low, shown.high, shown.count)
    expected = naive_join(shown.low.tolist(), shown.high.tolist(), shown.count.tolist())
    np.testing.assert_allclose(np.array(got), np.array(expected), atol=1e-9)


def naive_dots(reach: tuple[list[float], list[float]], scale: Scale, rows: int) -> set:
    """The (row, column) of every dot from low to high."""

    def row_of(value: float) -> int:
        if scale.log:
            if value <= 1e-300:
                return rows - 1
            share = math.log(scale.top / value) / math.log(scale.top / scale.bottom)
        else:
            share = (scale.top - value) / (scale.top - scale.bottom)
        return min(max(round(share * (rows - 1)), 0), rows - 1)

    return {
        (row, column)
        for column, (low, high) in enumerate(zip(*reach, strict=True))
        if not math.isnan(low)
        for row in range(row_of(high), row_of(low) + 1)
    }


def drawing(width: int, height: int, layers: list[tuple[set, int]]) -> tuple[np.ndarray, ...]:
    """Cells and inks of sets of dots, the first at the back, a band being replaced where another
    set has a dot in its cell."""
    pattern = np.zeros((4 * height, 2 * width), bool)
    inks = np.zeros((height, width), int)
    for found, ink in layers:
        band = ink in (Ink.BAND, Ink.SECOND_BAND)
        for row, column in found:
            cell = (
                slice(row // 4 * 4, row // 4 * 4 + 4),
                slice(column // 2 * 2, column // 2 * 2 + 2),
            )
            if inks[row // 4, column // 2] != ink:
                if band or inks[row // 4, column // 2] in (Ink.BAND, Ink.SECOND_BAND):
                    pattern[cell] = False
                inks[row // 4, column // 2] = ink
            pattern[row, column] = True
    return UNICODE.cells[bits_of(pattern)], inks


@given(
    st.integers(1, 3).flatmap(lambda w: st.lists(columns_of(w), min_size=1, max_size=3)),
    st.integers(1, 3), st.sampled_from([LINEAR, LOG]), st.sampled_from([0.0, 0.5, 1.0, 4.0]),
)  # fmt: skip
def test_the_plot_has_the_dots_and_inks_of_a_naive_one(
    runs: list[list[list[float]]], height: int, scale: Scale, half_life: float
) -> None:
    size, rows = min(map(len, runs)), 4 * height
    curves = [
        curve_of("", bands_of(points[:size]), (0, size), half_life, False, (Ink.BAND, ink), not n)
        for n, (points, ink) in enumerate(zip(runs, range(Ink.CURVE, Ink.CURVE_7), strict=False))
    ]
    layers = []
    for points, curve in zip(runs, curves, strict=True):
        shown = bands_of(points[:size])
        band = naive_join(shown.low.tolist(), shown.high.tolist(), shown.count.tolist())
        smooth = curve.smooth.tolist()
        line = naive_join(smooth, smooth, shown.count.tolist()) if half_life > 0 else band
        layers.append((naive_dots(line, scale, rows), curve.inks[1]))
        if curve.band is not None:
            layers.append((naive_dots(band, scale, rows), Ink.BAND))
    bands_first = [layer for layer in layers if layer[1] == Ink.BAND]
    lines_then = [layer for layer in reversed(layers) if layer[1] != Ink.BAND]
    chars, inks = drawing(size // 2, height, bands_first + lines_then)
    got = plot(size // 2, height, curves, scale)
    np.testing.assert_array_equal(got.chars, chars)
    np.testing.assert_array_equal(got.inks, inks)


@given(columns_of(4), st.integers(0, 4), st.integers(4, 8), st.sampled_from([0.0, 0.5, 3.0]))
def test_a_part_of_a_curve_is_what_the_whole_shows_there(
    points: list[list[float]], first: int, last: int, half_life: float
) -> None:
    whole = curve_of("", bands_of(points), (0, len(points)), half_life)
    part = curve_of("", bands_of(points), (first, last), half_life)
    for name in ("smooth", "line", "band"):
        one, other = np.atleast_2d(getattr(whole, name)), np.atleast_2d(getattr(part, name))
        if one.dtype == float:
            np.testing.assert_array_equal(one[:, first:last], other)


def test_the_smoothed_line_runs_over_the_band_in_another_ink() -> None:
    flat = np.zeros(4), np.full(4, 4.0)
    line = np.full(4, 4.0), np.full(4, 4.0)
    curve = Curve("", bands_of([[0.0, 4.0]] * 4), np.full(4, 4.0), line, flat)
    drawn = plot(2, 2, [curve], Scale(0.0, 4.0, (0.0, 4.0)))
    assert drawn.text(0) == "⠉⠉"
    assert drawn.inks[0].tolist() == [Ink.LINE, Ink.LINE]
    assert drawn.text(1) == "⣿⣿"
    assert drawn.inks[1].tolist() == [Ink.BAND, Ink.BAND]


def test_dots_of_a_gap_are_none() -> None:
    nothing = LINEAR.rows(np.array([math.nan]), 8)
    assert not dots(nothing, nothing, 8).any()


def raw(points: list[list[float]], ink: int) -> Curve:
    return curve_of("", bands_of(points), (0, len(points)), 0, True, (Ink.BAND, ink))


@given(st.lists(st.lists(st.floats(0, 3), min_size=8, max_size=8), min_size=1, max_size=4))
def test_a_stack_has_the_dots_of_a_naive_one(parts: list[list[float]]) -> None:
    height, rows = 3, 12
    scale = Scale(0.0, 12.0, (0.0, 12.0))
    curves = [raw([[v] for v in part], Ink.CURVE + n) for n, part in enumerate(parts)]
    got = stack(4, height, curves, scale)
    for y in range(height):
        for x in range(4):
            owners = {}
            bits = 0
            for row in range(4 * y, 4 * y + 4):
                for column in (2 * x, 2 * x + 1):
                    total = 0.0
                    for n, part in enumerate(parts):
                        total += part[column]
                        if row >= min(max(round((12 - total) / 12 * (rows - 1)), 0), rows - 1):
                            owners[n] = owners.get(n, 0) + 1
                            bit = 1 << (NUMBERING[row % 4][column % 2] - 1)
                            bits |= bit & int(TEXTURES[n])
                            break
            assert got.chars[y, x] == UNICODE.cells[bits]
            most = max(owners.values(), default=0)
            wanted = min((n for n, size in owners.items() if size == most), default=None)
            assert got.inks[y, x] == (0 if wanted is None else Ink.CURVE + wanted)


def test_areas_bridge_columns_without_points_but_do_not_go_beyond_them() -> None:
    curves = [raw([[], [1.0], [], [3.0], []], Ink.CURVE), raw([[], [1.0], [], [1.0], []], 0)]
    tops = heights(curves)
    assert tops[0].tolist()[1:4] == [1, 2, 3]
    assert tops[1].tolist()[1:4] == [2, 3, 4]
    assert np.isnan(tops[:, [0, 4]]).all()


def test_without_colour_the_line_is_denser_than_its_band() -> None:
    flat = np.zeros(4), np.full(4, 4.0)
    line = np.full(4, 4.0), np.full(4, 4.0)
    curve = Curve("", bands_of([[0.0, 4.0]] * 4), np.full(4, 4.0), line, flat)
    drawn = plot(2, 2, [curve], Scale(0.0, 4.0, (0.0, 4.0)), COLOURLESS)
    assert drawn.lines() == ["⠉⠉", "⢕⢕"]


def lines(grid: Grid) -> str:
    return "".join(grid.lines())


def test_without_unicode_everything_is_ascii() -> None:
    points = [[float(n % 5), 4.0 - n % 3] for n in range(16)]
    curve = curve_of("", bands_of(points), (0, 16), 2.0)
    scale = Scale(0.0, 4.0, (0.0, 4.0))
    text = lines(plot(8, 4, [curve], scale, ASCII))
    assert text.isascii()
    assert text.strip()
    areas = stack(8, 4, [raw(points, Ink.CURVE), raw(points, Ink.CURVE_1)], scale, ASCII)
    assert set(lines(areas)) <= {"a", "b", " "}
    assert {"a", "b"} <= set(lines(areas))
