"""Loads: sums that mean something, trends that noise does not make, values per column of time."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cockpit import loads
from cockpit.loads import Load, Window
from trainer.contract.messages import Updates


def window(step: int, counts: list[list[int]]) -> Window:
    rows = np.array(counts)
    return Window(list(range(len(rows))), rows, 1, int(rows[0].sum()), step)


def test_a_window_with_enough_tokens_stands_alone() -> None:
    found = loads.gather([window(2, [[600, 400]]), window(1, [[1, 999]])])
    assert found is not None
    assert (found.counts.tolist(), found.steps, found.tokens, found.step) == (
        [[600, 400]],
        1,
        1000,
        2,
    )
    assert [c.tolist() for c in found.trail] == [[[1, 999]], [[600, 400]]]


@given(st.integers(1, 100), st.integers(1, 64))
def test_small_windows_are_summed_until_an_expert_could_have_enough(tokens: int, n: int) -> None:
    found = loads.gather(window(n - i, [[tokens, 0, 0, 0]]) for i in range(n))
    assert found is not None
    wanted = min(-(-4 * loads.ENOUGH // tokens), n, loads.MOST_WINDOWS)
    assert (found.steps, found.tokens) == (wanted, wanted * tokens)
    assert len(found.trail) == min(max(wanted, loads.TRAIL), n, loads.TRAIL)


def test_windows_of_another_shape_are_not_mixed_in() -> None:
    found = loads.gather([window(2, [[1, 1]]), window(1, [[5, 5, 5]])])
    assert found is not None
    assert found.counts.tolist() == [[1, 1]]
    assert loads.gather([]) is None


def test_rows_that_are_no_rectangle_are_nothing() -> None:
    entry = Updates(step=1, steps=1, layers=[0, 1], norms=[[1.0], [1.0, 2.0]], tokens=[[1], [1]])
    assert loads.movement_of(entry).norms.shape == (0, 0)


def test_untrained_experts_are_no_number() -> None:
    entry = Updates(step=1, steps=1, layers=[0], norms=[[0.5, None]], tokens=[[3, 4]])
    norms = loads.movement_of(entry).norms
    assert norms[0, 0] == 0.5
    assert np.isnan(norms[0, 1])
    assert loads.over_median(np.array([[2.0, 0.0, 6.0, 4.0]])).tolist() == [[0.5, 0.0, 1.5, 1.0]]


def trail(rows: list[list[int]]) -> Load:
    counts = [np.array([row]) for row in rows]
    return Load([0], counts[-1], 1, int(counts[-1].sum()), len(rows), tuple(counts))


def test_a_trend_is_told_with_where_it_comes_from() -> None:
    rising = trail([[100 + 20 * n, 900 - 20 * n] for n in range(10)])
    assert loads.trend(rising, 0, 0) == (1, pytest.approx(0.28))
    found = loads.trend(rising, 0, 1)
    assert found is not None
    assert found.way == -1
    np.testing.assert_allclose(loads.shares_of(rising, 0, 0)[:2], [0.2, 0.24])


@given(st.integers(0, 2**32 - 1))
def test_noise_makes_no_trend(seed: int) -> None:
    random = np.random.default_rng(seed)
    told = [
        loads.trend(trail(random.multinomial(400, [1 / 16] * 16, 24).tolist()), 0, expert)
        for expert in range(16)
    ]
    # Three standard errors: one in 370 for each; more than three of 16 never comes.
    assert sum(found is not None and found.way != 0 for found in told) <= 3


def test_too_little_makes_no_trend() -> None:
    assert loads.trend(trail([[1, 2]] * 3), 0, 0) is None
    assert loads.trend(trail([[0, 0]] * 8), 0, 0) is None


@given(hnp.arrays(np.int64, st.integers(1, 64), elements=st.integers(0, 1000)))
def test_evenness_lies_between_one_expert_and_all(counts: np.ndarray) -> None:
    found = loads.evenness(counts)
    if not counts.sum():
        assert np.isnan(found)
    else:
        assert 1 - 1e-9 <= found <= (counts > 0).sum() + 1e-9


@given(
    hnp.arrays(np.int64, st.integers(1, 40), elements=st.integers(1, 10)),
    st.integers(1, 30), st.booleans(), st.data(),
)  # fmt: skip
def test_columns_hold_the_windows_that_end_in_them(
    gaps: np.ndarray, columns: int, mean: bool, data: st.DataObject
) -> None:
    steps = np.cumsum(gaps)
    elements = st.one_of(st.integers(0, 99).map(float), st.just(float("nan")))
    values = data.draw(hnp.arrays(np.float64, (len(steps), 3), elements=elements))
    end = int(steps[-1]) + data.draw(st.integers(0, 50))
    found = loads.by_column(steps, values, end, columns, mean)
    for column in range(columns):
        for expert in range(3):
            inside = [
                value
                for step, value in zip(steps.tolist(), values[:, expert].tolist(), strict=True)
                if math.ceil(step * columns / end) - 1 == column and value == value
            ]
            wanted = np.nan if not inside else sum(inside) / (len(inside) if mean else 1)
            np.testing.assert_allclose(found[column, expert], wanted)
