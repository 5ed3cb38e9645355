"""Live knobs: their values, and what they may be set to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cockpit import knobs
from cockpit.state import fold
from trainer.contract import messages as m
from trainer.contract import presets

CONFIG = presets.resolve("tiny", ["log.every=4"])


def knob(key: str) -> knobs.Knob:
    found = knobs.find(key)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [("lr_scale", "0.5", 0.5), ("lr_scale", " 1e-1 ", 0.1), ("lr_scale", "0", 0.0),
     ("log_every", "10", 10.0), ("balance_coef", "1e-3", 0.001)],
)  # fmt: skip
def test_values_that_may_be(key: str, text: str, value: float) -> None:
    assert knobs.parse(knob(key), text) == value


@pytest.mark.parametrize(
    ("key", "text", "complaint"),
    [("lr_scale", "", "nothing is not a number"), ("lr_scale", "1.2.3", "is not a number"),
     ("lr_scale", "-1", "a number from 0 to 100"), ("lr_scale", "nan", "from 0 to 100"),
     ("log_every", "0", "a whole number from 1"), ("log_every", "2.5", "a whole number"),
     ("balance_coef", "1e9", "from 0 to 1000")],
)  # fmt: skip
def test_values_that_may_not_say_why(key: str, text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        knobs.parse(knob(key), text)


@given(st.text(max_size=8))
def test_whatever_is_typed_is_a_value_in_range_or_a_complaint(text: str) -> None:
    for each in knobs.KNOBS:
        try:
            value = knobs.parse(each, text)
        except ValueError:
            continue
        assert each.least <= value <= each.most


def turned(key: str, value: float, step: int, state: str = "done") -> list[m.Entry]:
    name = f"{key}-{step}"
    return [
        m.Command(id=name, command="set", by="me", arguments={"key": key, "value": value}),
        m.Ack(id=name, command="set", state="accepted", step=step - 1),
        m.Ack(id=name, command="set", state=state, step=step),  # type: ignore[arg-type]
    ]


def test_they_stand_where_the_configuration_put_them_until_an_order_was_done() -> None:
    def value(key: str, *entries: m.Entry) -> float | None:
        return knobs.value(knob(key), CONFIG, fold(entries).knobs.turned)

    assert value("log_every") == 4.0
    assert value("lr_scale") == 1.0
    assert value("lr_scale", *turned("lr_scale", 0.5, 3)) == 0.5
    assert value("lr_scale", *turned("lr_scale", 0.5, 3), *turned("lr_scale", 2, 5)) == 2.0
    assert value("lr_scale", *turned("lr_scale", 0.5, 3, "refused")) == 1.0
    assert value("lr_scale", *turned("lr_scale", 0.5, 3)[:2]) == 1.0


def test_a_checkpoint_brings_them_back_as_they_were() -> None:
    story = [*turned("lr_scale", 0.5, 3), *turned("lr_scale", 0.1, 9)]
    restored = m.Checkpoint(step=5, state="restored", path="", seconds=0.0, bytes=0)
    assert knobs.value(knob("lr_scale"), CONFIG, fold([*story, restored]).knobs.turned) == 0.5
    start = m.Launch(pid=1, checkpoint=None, reason="", restarts_left=0)
    assert knobs.value(knob("lr_scale"), CONFIG, fold([*story, start]).knobs.turned) == 1.0


def test_what_a_value_means_is_said_where_it_can_be() -> None:
    scale = knob("lr_scale")
    assert knobs.consequence(scale, 0.5, 1e-4, 1.0) == "learning rate now 0.0001, then 5e-05"
    assert knobs.consequence(scale, 1.0, 5e-5, 0.5) == "learning rate now 5e-05, then 0.0001"
    assert "nothing will be learnt" in knobs.consequence(scale, 0.0, 1e-4, 1.0)
    assert knobs.consequence(scale, 0.5, None, 1.0) == ""
