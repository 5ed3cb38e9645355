"""One layer through time, its distribution, and what is said of the expert under the pointer."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cockpit.loads import Load, Movement
from cockpit.widgets.grid import Grid, Ink
from cockpit.widgets.heat_scale import Flag, Mark, heat_of, levels, marks
from cockpit.widgets.render_heatmap import GLYPHS
from cockpit.widgets.render_layer import (
    LayerHistory,
    LayerView,
    fold_of,
    layer_map,
    over_time,
    split,
    step_at,
)
from cockpit.widgets.render_pointer import (
    Moment,
    bars,
    detail,
    knob_at,
    line_of,
    part_at,
    timeline,
)

shapes = st.tuples(st.integers(1, 12), st.integers(1, 9))
windows = hnp.arrays(np.int64, shapes, elements=st.integers(0, 99))


def history_of(counts: np.ndarray, steps: np.ndarray, end: int) -> LayerHistory:
    return LayerHistory("experts", 0, steps, counts, 1, 1.0, end)


@given(windows, st.integers(1, 40), st.integers(0, 30), st.data())
def test_time_by_expert_is_that_of_a_naive_drawing(
    counts: np.ndarray, columns: int, more: int, data: st.DataObject
) -> None:
    gaps = data.draw(hnp.arrays(np.int64, len(counts), elements=st.integers(1, 6)))
    steps = np.cumsum(gaps)
    end = int(steps[-1]) + more
    grid = over_time(history_of(counts, steps, end), columns, False, 1)
    places = [math.ceil(step * columns / end) - 1 for step in steps.tolist()]
    for column in range(columns):
        # A window covers the steps since the one before, so a gap shows what comes next.
        following = [place for place in places if place >= column]
        for expert in range(counts.shape[1]):
            char, ink = grid.text(expert)[column], int(grid.inks[expert, column])
            if not following:
                assert (char, ink) == (" ", 0)
                continue
            inside = [place == following[0] for place in places]
            row = counts[inside].sum(axis=0)
            total = int(row.sum())
            share = np.array([[row[expert] * len(row) / total if total else np.nan]])
            level = int(levels(share)[0, 0])
            assert char == GLYPHS[int(marks(share)[0, 0])]
            assert ink == (Ink.HEAT + level if level >= 0 else Ink.FAINT)


def test_folded_rows_show_their_most_uneven_expert() -> None:
    counts = np.array([[100, 0, 100, 400], [100, 100, 100, 100]])
    grid = over_time(history_of(counts, np.array([1, 2]), 2), 2, False, 2)
    assert grid.lines() == [GLYPHS[Mark.DEAD], ""]
    assert grid.inks[1, 0] > grid.inks[1, 1]


def view_of(counts: np.ndarray, **more: object) -> LayerView:
    heat = heat_of(Load([5], counts[None], 1, int(counts.sum()), 9))
    steps = np.arange(1, 10)
    values = {
        "heat": heat, "layer": 0, "expert": 1, "first": 0, "fold": 1, "step": None,
        "history": history_of(np.tile(counts, (9, 1)), steps, 9),
        "alarmed": np.zeros(len(counts), bool),
    } | more  # fmt: skip
    return LayerView(**values)  # type: ignore[arg-type]


def test_the_distribution_has_a_bar_for_each_expert_with_its_marks() -> None:
    counts = np.array([800, 0, 100, 100])
    alarmed = np.array([True, False, False, False])
    text = layer_map(100, 9, 1, view_of(counts, alarmed=alarmed)).lines()
    assert "layer 5" in text[0]
    assert "in effect 1.9 of 4 experts" in text[0]
    assert "3.2×▲!█" in text[1]
    assert text[2].split() == ["e1", "✕" * split(100)[0], "0.0×✕", "│"]
    bars = [line.count("█") for line in text[1:5]]
    assert bars[1] == 0
    assert bars[2] == bars[3] == bars[0] // 8


def test_a_moment_of_the_past_is_marked_on_the_axis() -> None:
    grid = layer_map(100, 9, 1, view_of(np.array([1, 1, 1]), step=5))
    axis = grid.text(4)
    assert "▴ 5" in axis
    assert step_at(axis.index("▴"), 100, 9) == 5


@given(windows, st.integers(1, 150), st.integers(4, 40), st.booleans())
def test_a_layer_draws_at_any_size(counts: np.ndarray, width: int, height: int, zoom: bool) -> None:
    experts = counts.shape[1]
    fold = fold_of(experts, height, 1, zoom)
    view = view_of(counts[0], fold=fold, expert=experts - 1)
    grid = layer_map(width, height, 1, view)
    assert (grid.width, grid.height) == (width, height)
    missing = layer_map(width, height, 1, view_of(counts[0], history=None, fold=fold, expert=0))
    assert (missing.width, missing.height) == (width, height)


# --- below the map --------------------------------------------------------------------------


def told(source: Load | Movement, pointer: tuple[int, int], *flags: Flag, width: int = 160) -> str:
    grid = Grid(width, 1)
    detail(grid, 0, heat_of(source), source, pointer, flags)
    return grid.text(0).rstrip()


def test_the_pointer_tells_share_tokens_trend_and_alarm() -> None:
    trail = tuple(np.array([[100 + 20 * n, 900 - 20 * n]]) for n in range(10))
    load = Load([7], trail[-1], 1, 1000, 10, trail)
    text = told(load, (0, 0), Flag("expert-hot", "critical"))
    assert text.startswith("L7 e0  ! expert-hot, critical  0.56× even")
    assert "280 tokens, 28.0% of the layer's" in text
    assert "↗ rising from 0.28×" in text
    assert text.endswith("█")
    narrow = told(load, (0, 0), Flag("expert-hot", "critical"), width=60)
    assert "critical" in narrow


def test_a_dead_expert_is_said_to_get_nothing_for_how_long() -> None:
    trail = tuple(np.array([[100, 0]]) for _ in range(6))
    assert "no token in the last 6 windows" in told(Load([0], trail[0], 1, 100, 6, trail), (0, 1))


def test_update_norms_tell_what_moved_what_is_stuck_and_what_cannot_move() -> None:
    norms, tokens = np.array([[0.25, 0.0, np.nan]]), np.array([[10, 1234, 5]])
    movement = Movement([0], norms, tokens, 1)
    assert "moved 0.2500  1.00× the median  10 tokens" in told(movement, (0, 0))
    assert "did not move although it got 1,234 tokens" in told(movement, (0, 1))
    assert "no trainable weight" in told(movement, (0, 2))


@given(
    hnp.arrays(np.float64, st.integers(0, 30), elements=st.floats(0, 50) | st.just(float("nan")))
)
def test_bars_are_as_many_as_values_and_the_highest_is_full(values: np.ndarray) -> None:
    text = bars(values)
    known = values[np.isfinite(values)]
    if len(known) and known.max() > 0:
        assert len(text) == len(values)
        assert text[int(np.nanargmax(values))] == "█"


@given(st.integers(30, 200), st.integers(1, 10_000), st.data())
def test_a_click_on_the_line_of_time_leads_to_the_knob(
    width: int, last: int, data: st.DataObject
) -> None:
    start, end = line_of(width)
    column = data.draw(st.integers(start, end - 1))
    part = part_at(column, width)
    assert part is not None
    assert part_at(start - 1, width) is None
    step = 1 + round(part * (last - 1))
    # As near as the steps of the run allow.
    assert (
        abs(start + knob_at(Moment(step, last), end - start) - column) <= 1 + (end - start) / last
    )


def test_time_says_whether_it_is_live() -> None:
    grid = Grid(120, 2)
    timeline(grid, 0, Moment(40, 40, live=True))
    timeline(grid, 1, Moment(12, 40))
    live, past = grid.lines()
    assert "● live" in live
    assert "step 12 of 40" in past
    assert "end live" in past
