"""Columns and rewinding against naive versions of themselves."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cockpit.series import Series
from trainer.contract.messages import Step

losses = st.one_of(st.none(), st.floats(-1e6, 1e6, width=32))


def step(number: int, loss: float | None = 1.0) -> Step:
    return Step(
        step=number, loss=loss, lr=0.1, grad_norm=None, tokens=100, seconds=0.5, split={},
        time=float(number),
    )  # fmt: skip


@st.composite
def attempts(draw: st.DrawFn) -> list[Step]:
    """Steps in journal order: every attempt starts at or before the end of the one before."""
    found: list[Step] = []
    last = 0
    for _ in range(draw(st.integers(1, 4))):
        first = draw(st.integers(0, last)) + 1
        count = draw(st.integers(1, 12))
        found += [step(first + n, draw(losses)) for n in range(count)]
        last = first + count - 1
    return found


@given(attempts(), st.integers(1, 7))
def test_a_later_attempt_replaces_what_it_does_again(steps: list[Step], batch: int) -> None:
    series = Series()
    for start in range(0, len(steps), batch):
        series.extend(steps[start : start + batch])
    naive: dict[int, float] = {}
    for one in steps:
        naive = {number: loss for number, loss in naive.items() if number < one.step}
        naive[one.step] = math.nan if one.loss is None else one.loss
    assert series["step"].tolist() == list(naive)
    np.testing.assert_array_equal(series["loss"], np.array(list(naive.values()), np.float32))
    assert series.gaps("loss") == sum(math.isnan(loss) for loss in naive.values())


def test_an_attempt_that_goes_on_from_a_checkpoint_is_marked() -> None:
    series = Series()
    series.extend([step(n) for n in range(1, 11)])
    series.rewind(7)
    assert series["step"].tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert series.restarts == [7]
    series.extend([step(8)])
    assert series["step"][-1] == 8


def test_speed_is_tokens_over_seconds_and_none_without_time() -> None:
    series = Series()
    late = step(2)
    late.seconds = 0.0
    series.extend([step(1), late])
    assert series["tokens_per_second"][0] == 200
    assert math.isnan(series["tokens_per_second"][1])


def test_the_parts_of_a_step_are_columns_with_gaps_where_a_part_is_absent() -> None:
    series = Series()
    first, second = step(1), step(2)
    first.split, second.split = {"forward": 0.2}, {"forward": 0.3, "data": 0.1}
    series.extend([first, second])
    assert series["split.forward"].tolist() == pytest.approx([0.2, 0.3])
    assert np.isnan(series["split.data"]).tolist() == [True, False]
    assert series["tokens"].tolist() == [100, 100]
