"""The heatmap: exact shares, calm levels, whole maps at any size."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cockpit.widgets.grid import Ink
from cockpit.widgets.render_heatmap import (
    COLD,
    HOT,
    PER_OCTAVE,
    Heat,
    folded,
    glyph,
    heatmap,
    layout,
    levels,
    needed_height,
    shares,
    steady,
)

counted = hnp.arrays(
    np.int64, st.tuples(st.integers(1, 12), st.integers(1, 20)), elements=st.integers(0, 10_000)
)


def heat_of(counts: np.ndarray) -> Heat:
    share = shares(counts)
    layers = list(range(len(counts)))
    return Heat(share, levels(share), steady(share), layers, 10, int(counts[0].sum()))


@given(counted)
def test_shares_are_relative_to_the_even_one(counts: np.ndarray) -> None:
    for row, share in zip(counts, shares(counts), strict=True):
        if row.sum() == 0:
            assert np.isnan(share).all()
        else:
            np.testing.assert_allclose(share, row / (row.sum() / len(row)))


def test_even_is_in_the_middle_and_the_sides_are_alike() -> None:
    ratios = np.array([[1 / 8, 1 / 4, 1 / 2, 1.0, 2.0, 4.0, 8.0, 0.0]])
    found = levels(ratios)[0].tolist()
    assert found[3] in (7, 8)
    assert [a + b for a, b in zip(found[:3], found[6:3:-1], strict=True)] == [15, 15, 15]
    assert (found[0], found[6], found[7]) == (0, 15, 0)


@given(hnp.arrays(np.float64, (30, 6), elements=st.floats(0.01, 20)))
def test_a_level_moves_only_when_the_share_has_left_it_by_a_quarter(history: np.ndarray) -> None:
    level = None
    for share in history:
        place = np.clip(np.log2(share) * PER_OCTAVE + 7.5, -0.5, 15.5)
        new = levels(share[None], level[None] if level is not None else None)[0]
        assert (np.abs(place - new) <= 0.75 + 1e-9).all()
        if level is not None:
            near = np.abs(place - level) <= 0.75
            assert (new[near] == level[near]).all()
        level = new


@given(counted, st.integers(1, 4), st.integers(1, 4))
def test_a_folded_cell_is_the_most_uneven_of_its_own(counts: np.ndarray, r: int, c: int) -> None:
    values = shares(counts)
    got, index = folded(values, r, c)
    for row in range(got.shape[0]):
        for column in range(got.shape[1]):
            block = values[row * r : row * r + r, column * c : column * c + c]
            uneven = [abs(math.log2(v)) if v else math.inf for v in block.ravel() if v == v]
            value = got[row, column]
            if not uneven:
                assert math.isnan(value)
                continue
            assert (abs(math.log2(value)) if value else math.inf) == max(uneven)
            assert values.ravel()[index[row, column]] == value


@given(counted, st.integers(1, 140), st.integers(1, 40))
def test_any_model_draws_at_any_size(counts: np.ndarray, width: int, height: int) -> None:
    grid = heatmap(width, height, heat_of(counts))
    assert (grid.width, grid.height) == (width, height)


@given(st.integers(1, 64), st.integers(1, 160), st.integers(40, 200), st.integers(8, 60))
def test_a_layout_fits_its_panel(layers: int, experts: int, width: int, height: int) -> None:
    plan = layout(layers, experts, width, height)
    rows, columns = (layers, experts) if plan.layers_down else (experts, layers)
    assert -(-rows // plan.fold_rows) + 3 <= height
    assert -(-columns // plan.fold_columns) * plan.cell + 4 <= width
    assert plan.cell >= 1
    assert needed_height(layers, experts, width, height) <= height


def test_small_maps_write_figures_and_mark_the_extremes() -> None:
    counts = np.full((2, 16), 100)
    counts[0, 3], counts[1, 5] = 0, 1000
    grid = heatmap(120, 6, heat_of(counts))
    text = grid.lines()
    assert "✕" in text[2]
    assert "6.4▲" in text[3]
    assert "0.6" in text[3]
    assert "busiest L1 e5 6.4× · idlest L0 e3 0.0×" in text[-1]
    hot = text[3].index("6.4▲")
    assert grid.inks[3, hot] >= Ink.HEAT


def test_marks_do_not_need_colour() -> None:
    assert [glyph(v) for v in (0.0, COLD - 0.01, 1.0, HOT)] == ["✕", "▽", " ", "▲"]


def test_written_figures_are_right_to_a_step_and_steady() -> None:
    first = steady(np.array([[1.04, 0.96]]))
    assert first.tolist() == [[1.0, 1.0]]
    assert steady(np.array([[1.07, 0.9]]), first).tolist() == [[1.0, 0.9]]
