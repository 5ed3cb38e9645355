"""Editing the values of a preset."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cockpit import runs
from cockpit.launch_form import NAME, OTHER, LaunchForm, Value, written
from trainer.contract import config as configuration
from trainer.contract import presets, values
from trainer.contract.about import about


def form(root: Path = Path("/nowhere"), preset: str = "tiny", **texts: str) -> LaunchForm:
    made = LaunchForm(root, preset)
    for key, text in texts.items():
        line(made, key.replace("__", ".")).text = text
    made.check()
    return made


def line(made: LaunchForm, key: str) -> Value:
    return next(value for value in made.values if value.key == key)


@pytest.mark.parametrize("preset", presets.names())
def test_untouched_it_starts_the_preset(preset: str) -> None:
    made = form(preset=preset)
    assert (made.problem, made.changes, made.name) == ("", 0, None)
    assert made.config == presets.resolve(preset)
    assert made.overrides() == []
    assert all(value.about.text for value in made.values)


def test_a_change_is_an_override() -> None:
    made = form(train__lr="2e-3", adapter__kind="lora", adapter__targets="[attention, experts]")
    assert made.problem == "" and made.changes == 3
    assert made.config == presets.resolve(
        "tiny", ["train.lr=2e-3", "adapter.kind=lora", "adapter.targets=[attention, experts]"]
    )


@pytest.mark.parametrize(
    ("texts", "wrong", "problem"),
    [
        ({"train__steps": "0"}, "train.steps", "train.steps must be positive, not 0"),
        ({"train__steps": "1e"}, "train.steps", "train.steps: expected `int`, got `str`"),
        ({"train__steps": ""}, "train.steps", "train.steps: expected `int`, got `null`"),
        ({"adapter__kind": "lara"}, "adapter.kind", "did you mean lora?"),
        ({"engine__zero_stage": "2"}, "engine.zero_stage", "needs engine.zero_stage 3"),
        ({"train__lr": "[1"}, "train.lr", "'[1' is not a value"),
        ({OTHER: "train.sed=3"}, OTHER, "unknown key train.sed; did you mean train.seed?"),
        ({OTHER: "train.seed"}, OTHER, "wants KEY=VALUE"),
        ({OTHER: "a='"}, OTHER, "No closing quotation"),
        ({NAME: "a b"}, NAME, "cannot be called 'a b'"),
    ],
)
def test_what_is_wrong_is_said_beside_its_key(
    texts: dict[str, str], wrong: str, problem: str
) -> None:
    made = form(**texts)
    assert made.wrong == wrong and problem in made.problem
    assert made.config is None


def test_two_keys_that_need_each_other_can_be_changed_together() -> None:
    made = form(engine__zero_stage="2", engine__offload_params="none", **{OTHER: "train.seed=7"})
    assert made.problem == ""
    assert made.config is not None and made.config.train.seed == 7


def test_a_name_that_is_taken_is_refused(tmp_path: Path) -> None:
    runs.create(tmp_path, "tiny", presets.resolve("tiny"), "warm")
    assert "already a run called warm" in form(tmp_path, **{NAME: "warm"}).problem
    assert form(tmp_path, **{NAME: "warmer"}).name == "warmer"


def test_choices_go_round() -> None:
    made = form()
    kind = line(made, "adapter.kind")
    told = []
    for _ in range(3):
        assert kind.turn(1)
        told.append(kind.text)
    assert told == ["lora", "qlora", "none"]
    assert kind.turn(-1) and kind.text == "qlora"
    kind.text = "lo"
    assert kind.turn(1) and kind.text == "none"
    assert not line(made, "train.steps").turn(1)


def test_only_the_model_that_a_preset_names_has_lines(tmp_path: Path) -> None:
    keys = [value.key for value in form().values]
    assert "model.tiny.layers" in keys and "model.path" not in keys
    (tmp_path / "mine.yaml").write_text("model: {path: /weights}\n")
    keys = [value.key for value in form(preset=str(tmp_path / "mine.yaml")).values]
    assert "model.path" in keys and "model.tiny.layers" not in keys


def test_every_key_is_explained() -> None:
    assert all(about(key).text for key in configuration.keys())  # noqa: SIM118 - of a module
    assert about("engine.zero_stage").choices == ("0", "1", "2", "3")
    assert about("no.such.key") == about("trian") == ("", ())


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False)
        | st.sampled_from(["attention", "python-topics", "/a/b"]),
        lambda inner: st.lists(inner, max_size=3),
    )
)  # fmt: skip
def test_what_is_written_is_read_back(value: object) -> None:
    text = written(value)
    if "inf" not in text:
        assert values.parse_yaml(text) == value
