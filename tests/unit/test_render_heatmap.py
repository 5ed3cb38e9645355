"""The heatmap: exact shares, calm levels, whole maps at any size, the same as a naive drawing."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cockpit.loads import Load, Movement, shares
from cockpit.widgets.grid import Ink
from cockpit.widgets.heat_layout import (
    GUTTER,
    HEAD,
    Layout,
    layout,
    needed_height,
    picks,
    place_of,
    scrolled,
    urgency,
)
from cockpit.widgets.heat_pointer import moved, next_marked
from cockpit.widgets.heat_scale import (
    COLD,
    HOT,
    PER_OCTAVE,
    Heat,
    Mark,
    extremes,
    heat_of,
    levels,
    marks,
    steady,
)
from cockpit.widgets.render_heatmap import GLYPHS, Map, heatmap, legend

counted = hnp.arrays(
    np.int64, st.tuples(st.integers(1, 12), st.integers(1, 20)), elements=st.integers(0, 10_000)
)


def heat_from(counts: np.ndarray, before: Heat | None = None) -> Heat:
    layers = list(range(len(counts)))
    return heat_of(Load(layers, counts, 10, int(counts[0].sum())), before)


def quiet(heat: Heat) -> np.ndarray:
    return np.zeros(heat.shape, bool)


def map_of(heat: Heat, plan: Layout, alarmed: np.ndarray | None = None, **more: object) -> Map:
    alarmed = quiet(heat) if alarmed is None else alarmed
    return Map(heat, plan, picks(heat, plan, alarmed), alarmed, **more)  # type: ignore[arg-type]


def body(width: int, height: int, counts: np.ndarray) -> list[str]:
    heat = heat_from(counts)
    grid = heatmap(width, height, map_of(heat, layout(*heat.shape, width, height)))
    legend(grid, height - 1, heat)
    return grid.lines()


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


def test_marks_do_not_need_colour_and_stay_until_a_share_is_clearly_back() -> None:
    first = marks(np.array([[0.0, COLD - 0.01, 1.0, HOT, math.nan]]))
    assert first[0].tolist() == [Mark.DEAD, Mark.COLD, Mark.NONE, Mark.HOT, Mark.UNKNOWN]
    then = marks(np.array([[0.01, COLD + 0.01, 1.0, HOT - 0.1, 1.0]]), first)
    assert then[0].tolist() == [Mark.COLD, Mark.COLD, Mark.NONE, Mark.HOT, Mark.NONE]
    last = marks(np.array([[0.7, COLD * 1.2, 1.0, HOT * 0.8, 1.0]]), then)
    assert (last == Mark.NONE).all()
    assert len({GLYPHS[mark] for mark in Mark}) == len(Mark)


def test_written_figures_are_right_to_a_step_and_steady() -> None:
    first = steady(np.array([[1.04, 0.96]]))
    assert first.tolist() == [[1.0, 1.0]]
    assert steady(np.array([[1.07, 0.9]]), first).tolist() == [[1.0, 0.9]]


def test_near_ties_do_not_take_turns_at_being_the_busiest() -> None:
    first = extremes(np.array([[2.0, 1.0, 0.5]]))
    assert first == (2, 0)
    assert extremes(np.array([[2.0, 2.05, 0.5]]), first) == (2, 0)
    assert extremes(np.array([[2.0, 2.2, 0.5]]), first) == (2, 1)


def test_an_expert_that_got_tokens_and_did_not_move_stands_out() -> None:
    norms = np.array([[0.0, 0.0, 1.0, math.nan], [1.0, 1.0, 2.0, 1.0]])
    tokens = np.array([[50, 0, 50, 50], [50, 50, 50, 50]])
    heat = heat_of(Movement([0, 1], norms, tokens, 5))
    assert heat.mark[0].tolist() == [Mark.STUCK, Mark.DEAD, Mark.NONE, Mark.UNKNOWN]
    plan = layout(2, 4, 80, 8)
    grid = heatmap(80, 8, map_of(heat, plan))
    legend(grid, 7, heat)
    at = grid.text(HEAD).index("Ø")
    assert grid.inks[HEAD, at] == Ink.STUCK
    assert "1 of 7 stuck" in grid.text(7)
    # Where cells are folded it is the one that is seen.
    tall = heat_of(Movement([0, 1], norms.repeat(30, axis=1), tokens.repeat(30, axis=1), 5))
    folded = layout(*tall.shape, 30, 4)
    assert folded.fold_rows * folded.fold_columns > 1
    assert "Ø" in "".join(heatmap(30, 4, map_of(tall, folded)).lines()[HEAD:])


# --- the map, cell for cell ---------------------------------------------------------------


def naive_cell(heat: Heat, alarm: bool, layer: int, expert: int, width: int) -> tuple[str, int]:
    """A cell's text and ink, one at a time."""
    mark, level = int(heat.mark[layer, expert]), int(heat.level[layer, expert])
    ink = Ink.HEAT + level if level >= 0 else Ink.FAINT
    ink = Ink.STUCK if mark == Mark.STUCK else ink
    sign = GLYPHS[mark]
    if width == 1:
        return "!" if alarm else sign, ink
    if width < 4:
        text = [" "] * width
        text[(width - 1) // 2] = sign
        if alarm:
            text[min((width - 1) // 2 + 1, width - 1)] = "!"
        return "".join(text), ink
    figure = "   "
    if mark in (Mark.NONE, Mark.COLD, Mark.HOT):
        written = float(heat.written[layer, expert])
        figure = f"{written:.1f}" if written < 9.95 else f"{written:3.0f}"
    lead = " " * ((width - 4) // 2)
    if width == 4:
        return figure + ("!" if alarm else sign), ink
    return (lead + figure + sign + ("!" if alarm else " ")).ljust(width), ink


@given(counted, st.integers(10, 150), st.integers(5, 30), st.booleans(), st.data())
def test_the_map_is_that_of_a_naive_drawing(
    counts: np.ndarray, width: int, height: int, zoom: bool, data: st.DataObject
) -> None:
    heat = heat_from(counts)
    plan = layout(*heat.shape, width, height, 1, zoom)
    alarmed = data.draw(hnp.arrays(bool, heat.shape))
    pointer = data.draw(st.tuples(*(st.integers(0, n - 1) for n in heat.shape)))
    row, column = place_of(plan, *pointer)
    chosen = picks(heat, plan, alarmed)
    top = scrolled(0, row, plan.rows, chosen.shape[0])
    left = scrolled(0, column, plan.columns, chosen.shape[1])
    grid = heatmap(width, height, Map(heat, plan, chosen, alarmed, top, left, pointer))
    for r in range(plan.rows):
        for c in range(plan.columns):
            layer, expert = divmod(int(chosen[top + r, left + c]), heat.shape[1])
            assert place_of(plan, layer, expert) == (top + r, left + c)
            text, ink = naive_cell(heat, bool(alarmed[layer, expert]), layer, expert, plan.cell)
            start = GUTTER + c * plan.cell
            if (top + r, left + c) == (row, column):
                ink = Ink.POINTER
            end = min(start + plan.cell, width)
            assert grid.text(HEAD + r)[start:end] == text[: end - start]
            assert (grid.inks[HEAD + r, start:end] == ink).all()


@given(counted, st.integers(1, 5), st.integers(1, 5), st.booleans())
def test_a_folded_cell_shows_the_most_urgent_of_its_own(
    counts: np.ndarray, rows: int, columns: int, down: bool
) -> None:
    heat = heat_from(counts)
    alarmed = counts % 7 == 3
    size = heat.shape if down else heat.shape[::-1]
    plan = Layout(down, rows, columns, 1, -(-size[0] // rows), -(-size[1] // columns))
    found = picks(heat, plan, alarmed)
    urgent = urgency(heat.share, heat.mark, alarmed)
    assert found.shape == (plan.rows, plan.columns)
    for (row, column), pick in np.ndenumerate(found):
        own = [
            urgent[layer, expert]
            for layer, expert in np.ndindex(heat.shape)
            if place_of(plan, layer, expert) == (row, column)
        ]
        assert urgent.ravel()[pick] == max(own)


def test_a_folded_cell_does_not_flicker_between_two_that_are_alike() -> None:
    plan = Layout(True, 1, 2, 1, 1, 1)
    first = picks(heat_from(np.array([[150, 60]])), plan, np.zeros((1, 2), bool))
    second = heat_from(np.array([[145, 68]]))
    assert picks(second, plan, quiet(second), first).tolist() == first.tolist()
    third = heat_from(np.array([[190, 10]]))
    assert picks(third, plan, quiet(third), np.array([[0]])).tolist() == [[1]]


@given(counted, st.integers(1, 140), st.integers(1, 40))
def test_any_model_draws_at_any_size(counts: np.ndarray, width: int, height: int) -> None:
    assert len(body(width, height, counts)) == height


@given(st.integers(1, 64), st.integers(1, 160), st.integers(40, 200), st.integers(8, 60))
def test_a_layout_fits_its_panel(layers: int, experts: int, width: int, height: int) -> None:
    plan = layout(layers, experts, width, height)
    rows, columns = (layers, experts) if plan.layers_down else (experts, layers)
    assert -(-rows // plan.fold_rows) + 3 <= height
    assert -(-columns // plan.fold_columns) * plan.cell + 4 <= width
    assert plan.cell >= 1
    assert needed_height(layers, experts, width, height) <= height
    near = layout(layers, experts, width, height, 3, zoom=True)
    assert near.fold_rows == near.fold_columns == 1
    assert near.rows + HEAD + 3 <= height
    assert near.columns * near.cell + GUTTER <= width


@given(st.integers(0, 99), st.integers(0, 99), st.integers(1, 50), st.integers(1, 100))
def test_scrolling_keeps_what_is_looked_at_in_view(
    first: int, at: int, shown: int, total: int
) -> None:
    at = min(at, total - 1)
    found = scrolled(first, at, shown, total)
    assert 0 <= found <= at < found + shown
    assert found <= max(total - shown, 0)
    if first <= at < first + shown and first + shown <= total:
        assert found == first


def test_small_maps_write_figures_and_mark_the_extremes() -> None:
    counts = np.full((2, 16), 100)
    counts[0, 3], counts[1, 5] = 0, 1000
    text = body(120, 6, counts)
    assert "✕" in text[2]
    assert "6.4▲" in text[3]
    assert "0.6" in text[3]
    assert "busiest L1 e5 6.4× · idlest L0 e3 0.0×" in text[-1]


# --- the pointer ----------------------------------------------------------------------------


@given(counted, st.integers(20, 120), st.integers(6, 30), st.integers(-1, 1), st.integers(-1, 1))
def test_the_pointer_goes_to_the_next_cell_and_stops_at_the_edges(
    counts: np.ndarray, width: int, height: int, down: int, across: int
) -> None:
    heat = heat_from(counts)
    plan = layout(*heat.shape, width, height)
    chosen = picks(heat, plan, quiet(heat))
    start = divmod(int(chosen[-1, 0]), heat.shape[1])
    found = moved(start, down, across, plan, chosen, heat.shape[1])
    row, column = place_of(plan, *found)
    assert row == min(max(chosen.shape[0] - 1 + down, 0), chosen.shape[0] - 1)
    assert column == min(max(across, 0), chosen.shape[1] - 1)


def test_the_next_mark_goes_round_and_alarms_come_first() -> None:
    counts = np.full((2, 4), 100)
    counts[0, 1] = counts[1, 2] = 0
    heat = heat_from(counts)
    assert next_marked(heat, quiet(heat), (0, 0), 1) == (0, 1)
    assert next_marked(heat, quiet(heat), (0, 1), 1) == (1, 2)
    assert next_marked(heat, quiet(heat), (1, 2), 1) == (0, 1)
    assert next_marked(heat, quiet(heat), (0, 1), -1) == (1, 2)
    alarmed = quiet(heat)
    alarmed[1, 3] = True
    assert next_marked(heat, alarmed, (0, 0), 1) == (1, 3)
    even = heat_from(np.full((2, 4), 100))
    assert next_marked(even, quiet(even), (0, 0), 1) is None
