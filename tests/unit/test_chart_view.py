"""Zoom, pan, follow and the crosshair."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cockpit.widgets.chart_view import View, nearest, stepped

NEWEST, TOTAL = 700.0, 1000.0
moves = st.lists(
    st.one_of(
        st.tuples(st.just("zoom"), st.floats(0.3, 3), st.floats(0, 1000)),
        st.tuples(st.just("pan"), st.floats(-3, 3), st.just(0)),
        st.tuples(st.just("newest"), st.just(0), st.just(0)),
        st.tuples(st.just("on"), st.floats(700, 1000), st.just(0)),
    ),
    max_size=12,
)


@given(moves)
def test_no_way_of_moving_leaves_the_run(steps: list[tuple[str, float, float]]) -> None:
    view = View()
    for what, amount, around in steps:
        if what == "zoom":
            view = view.zoomed(amount, around, NEWEST, TOTAL)
        elif what == "pan":
            view = view.panned(amount, NEWEST, TOTAL)
        elif what == "newest":
            view = view.at_newest(NEWEST, TOTAL)
        start, end = view.span(NEWEST, TOTAL)
        assert start >= 0
        assert end <= TOTAL + 0.5 + 1e-6
        assert end - start >= 8 - 1e-6


@given(st.floats(0, 1000), st.floats(0.3, 0.99))
def test_a_zoom_keeps_its_place_and_is_undone_by_its_inverse(place: float, factor: float) -> None:
    view = View(window=(200.0, 600.0))
    near = view.zoomed(factor, place, NEWEST, TOTAL)
    start, end = near.span(NEWEST, TOTAL)
    inside = min(max(place, 200.0), 600.0)
    assert (inside - start) / (end - start) == pytest.approx((inside - 200) / 400, abs=1e-6)
    back = near.zoomed(1 / factor, place, NEWEST, TOTAL).window
    assert back == pytest.approx((200.0, 600.0))


def test_zooming_out_ends_at_the_whole_run() -> None:
    view = View(window=(100.0, 900.0)).zoomed(2.0, 500, NEWEST, TOTAL)
    assert view.window is None
    assert view.span(NEWEST, TOTAL) == (0, 1000.5)


def test_a_window_that_shows_the_newest_point_follows_it_in_quarters() -> None:
    view = View(window=(600.0, 700.0), following=True)
    assert view.moved_on(699) is view
    assert view.moved_on(700).window == (625, 725)
    assert view.moved_on(790).window == (700, 800)
    assert replace(view, following=False).moved_on(790).window == (600, 700)


def test_looking_back_stops_following_and_end_returns() -> None:
    near = View().zoomed(0.1, NEWEST, NEWEST, TOTAL)
    assert near.following
    back = near.panned(-2, NEWEST, TOTAL)
    assert not back.following
    again = back.at_newest(NEWEST, TOTAL)
    assert again.following
    assert again.window is not None
    assert again.window[0] <= NEWEST < again.window[1]


points = st.lists(st.integers(0, 1000), min_size=1, unique=True).map(sorted)


@given(points, st.floats(-10, 1010))
def test_the_crosshair_snaps_to_the_nearest_point(at: list[int], place: float) -> None:
    found = nearest(np.array(at), place)
    assert abs(found - place) == min(abs(point - place) for point in at)


@given(points, st.floats(0.1, 300), st.sampled_from([1, -1]), st.data())
def test_the_crosshair_always_gets_on_until_the_last_point(
    at: list[int], by: float, sign: int, data: st.DataObject
) -> None:
    cursor = float(data.draw(st.sampled_from(at)))
    moved = stepped(np.array(at), cursor, sign * by)
    assert moved in at
    ahead = [point for point in at if (point - cursor) * sign > 0]
    assert (moved - cursor) * sign > 0 if ahead else moved == cursor
    if ahead and by < min(abs(point - cursor) for point in ahead):
        assert moved == min(ahead, key=lambda point: abs(point - cursor))


def test_the_axes_take_turns() -> None:
    view = View()
    seen = [view.axis]
    for _ in range(3):
        view = replace(view, axis=view.next_axis())
        seen.append(view.axis)
    assert seen == ["step", "tokens", "time", "step"]
