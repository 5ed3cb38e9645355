"""A run's loss in one line."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from cockpit.sparks import LEVELS, MOST, Trace, spark

values = st.one_of(st.none(), st.floats())
points = st.lists(st.tuples(st.integers(0, 10_000), values), max_size=600)


def test_a_falling_loss_falls() -> None:
    assert spark([(n, 8.0 / 2**n) for n in range(8)], 8) == LEVELS[::-1]
    assert spark([(n, float(n)) for n in range(-4, 4)], 8) == LEVELS
    assert spark([(1, 3.0), (2, 3.0)], 10) == LEVELS[0] * 2


def test_what_is_no_number_is_blank() -> None:
    assert spark([], 10) == spark([(1, math.nan)], 10) == spark([(1, 1.0)], 0) == ""
    assert spark([(1, 1.0), (2, math.nan), (3, math.inf), (4, 2.0)], 4) == "▁  █"


def test_a_stretch_that_was_not_looked_at_is_no_gap() -> None:
    assert spark([(0, 4.0), (1, 4.0), (98, 1.0), (99, 1.0)], 4) == "███▁"


def test_a_later_attempt_takes_the_place_of_the_earlier() -> None:
    trace = Trace()
    trace.extend([(1, 5.0), (2, 4.0), (3, 9.0)])
    trace.extend([(3, 3.0), (4, 2.0)])
    assert trace.points == [(1, 5.0), (2, 4.0), (3, 3.0), (4, 2.0)]


@given(points)
def test_the_points_stay_few_and_in_order(found: list[tuple[int, float | None]]) -> None:
    trace = Trace()
    trace.extend(found)
    steps = [step for step, _ in trace.points]
    assert len(steps) <= MOST and steps == sorted(set(steps))
    if found:
        assert steps[-1] == found[-1][0]


@given(points, st.integers(0, 40))
def test_any_curve_fits(found: list[tuple[int, float | None]], width: int) -> None:
    trace = Trace()
    trace.extend(found)
    line = spark(trace.points, width)
    assert len(line) <= width and set(line) <= set(LEVELS + " ")
