"""Configuration and presets: what is accepted, and what is said about the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from trainer_helpers import quick

from trainer.contract import config as configuration
from trainer.contract import presets
from trainer.contract import values as nested
from trainer.contract.config import Config, ConfigError

TINY: dict[str, Any] = {"model": {"tiny": {}}}

STABLE = [
    *("model.path", "data.path", "data.seq_len", "train.steps", "train.seed"),
    *("train.micro_batch", "train.grad_accum", "train.lr", "optimizer.kind", "adapter.kind"),
    *("adapter.rank", "adapter.targets", "moe.kind", "attention.kind", "activation_checkpointing"),
    *("engine.kind", "engine.zero_stage", "engine.offload_optimizer", "engine.offload_params"),
    *("engine.nvme_path", "launch.nproc", "launch.nnodes", "checkpoint.every", "checkpoint.keep"),
    *("log.every", "restart.max"),
]


def problem(*overrides: str, preset: str = "tiny") -> str:
    with pytest.raises(ConfigError) as error:
        presets.resolve(preset, overrides)
    assert "\n" not in str(error.value)
    return str(error.value)


# --- keys --------------------------------------------------------------------------------


def test_the_names_that_scripts_rely_on_stay() -> None:
    assert set(STABLE) <= set(configuration.keys())


def test_every_key_has_a_line_that_says_what_it_does() -> None:
    source = Path(configuration.__file__).read_text().splitlines()
    for key in sorted(configuration.keys()):
        name = key.rpartition(".")[2]
        if name == "description":
            continue
        places = [i for i, line in enumerate(source) if line.startswith(f"    {name}: ")]
        assert any(source[i + 1].lstrip().startswith('"""') for i in places), key


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("train.stepz=3", "unknown key train.stepz; did you mean train.steps?"),
        ("engine.zero=3", "unknown key engine.zero; did you mean engine.zero_stage?"),
        ("trian.steps=3", "unknown key trian"),
        ("model.tiny.expert=4", "unknown key model.tiny.expert; did you mean model.tiny.experts?"),
        ("optimiser.betas=3", "unknown key optimiser; did you mean optimizer"),
        ("train=3", "train must be a group of keys, not 3"),
        ("a..b=1", "unknown key a"),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest_right_one(override: str, said: str) -> None:
    assert problem(override).startswith(said)


# --- values ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("engine.zero_stage=4", "engine.zero_stage must be one of 0, 1, 2, 3, not 4"),
        (
            "model.dtype=bfloat",
            "model.dtype must be one of bfloat16, float32, not 'bfloat'; did you mean bfloat16?",
        ),
        (
            "engine.offload_optimizer=disk",
            "engine.offload_optimizer must be one of none, cpu, nvme, not 'disk'",
        ),
        (
            "adapter.targets=[attention, expert]",
            "adapter.targets[1] must be one of attention, shared, experts, router, "
            "not 'expert'; did you mean experts?",
        ),
        (
            "adapter.targets=attention",
            "adapter.targets: expected `array`, got `str` "
            "(one of attention, shared, experts, router)",
        ),
        (
            "activation_checkpointing=fully",
            "activation_checkpointing must be one of none, selective, full, not 'fully'; "
            "did you mean full?",
        ),
    ],
)
def test_a_wrong_choice_is_told_with_the_right_ones(override: str, said: str) -> None:
    assert problem(override) == said


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("train.steps=x", "train.steps: expected `int`, got `str`"),
        ("train.steps=1.5", "train.steps: expected `int`, got `float`"),
        ("train.lr=null", "train.lr: expected `float`, got `null`"),
        ("launch.nproc=true", "launch.nproc: expected `int`, got `bool`"),
        ("optimizer.betas=[1]", "optimizer.betas: expected `array` of length 2, got 1"),
    ],
)
def test_a_wrong_type_is_told_with_its_key(override: str, said: str) -> None:
    assert problem(override) == said


@pytest.mark.parametrize("key", configuration._POSITIVE)
def test_sizes_and_counts_are_positive(key: str) -> None:
    assert problem(f"{key}=0").startswith(f"{key} must be positive, not 0")
    assert problem(f"{key}=-1").startswith(f"{key} must be positive, not -1")


@pytest.mark.parametrize("key", configuration._NOT_NEGATIVE)
def test_what_may_be_switched_off_may_be_zero_and_not_less(key: str) -> None:
    presets.resolve("tiny", [f"{key}=0"])
    assert problem(f"{key}=-1").startswith(f"{key} must be zero or more, not -1")


@pytest.mark.parametrize("value", [".nan", ".inf", "-.inf"])
@pytest.mark.parametrize("key", ["train.lr", "train.grad_clip", "restart.grace"])
def test_numbers_are_finite(key: str, value: str) -> None:
    assert problem(f"{key}={value}").startswith(f"{key} must be ")


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["model.tiny=null"], "set exactly one of model.path and model.tiny"),
        (["model.path=/some/where"], "set exactly one of model.path and model.tiny"),
        (["engine.zero_stage=2"], "engine.offload_params needs engine.zero_stage 3"),
        (
            [
                "engine.zero_stage=2",
                "engine.offload_params=none",
                "engine.offload_optimizer=nvme",
            ],
            "engine.offload_optimizer nvme needs engine.zero_stage 3",
        ),
        (
            ["engine.zero_stage=0", "engine.offload_params=none"],
            "engine.offload_optimizer needs engine.zero_stage 1, 2 or 3",
        ),
        (
            ["adapter.kind=lora", "adapter.targets=[]"],
            "adapter.targets is empty: name attention, shared, experts, router or some of them",
        ),
        (
            ["adapter.kind=qlora"],
            "adapter.kind qlora needs engine.zero_stage 0, 1 or 2: "
            "ZeRO-3 partitions parameters, and quantised weights are none",
        ),
        (
            ["optimizer.kind=adamw8bit", "engine.offload_optimizer=nvme"],
            "optimizer.kind adamw8bit cannot keep its states on disk",
        ),
        (["model.tiny.heads=3"], "model.tiny.heads must be even"),
        (["model.tiny.hidden=100"], "model.tiny.heads must be even"),
        (["model.tiny.vocabulary=511"], "model.tiny.vocabulary must be at least 512, not 511"),
        (["adapter.dropout=1"], "adapter.dropout must be below 1, not 1.0"),
        (["optimizer.betas=[0.9, 1]"], "optimizer.betas must be from 0 to below 1"),
        ([f"train.seed={2**63}"], "train.seed must be below 2^63"),
    ],
)
def test_values_that_do_not_go_together_are_refused(overrides: list[str], said: str) -> None:
    assert problem(*overrides).startswith(said)


# --- --set -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2e-4", 2e-4),
        ("2E4", 2e4),
        ("-1.e+3", -1e3),
        ("5", 5),
        ("0.5", 0.5),
        ("null", None),
        ("", None),
        ("true", True),
        ("[a, b]", ["a", "b"]),
        ("[0.9, 1e-1]", [0.9, 0.1]),
        ("{a: 1}", {"a": 1}),
        ("a=b", "a=b"),
        ("e4", "e4"),
    ],
)
def test_set_takes_values_as_they_are_written(text: str, value: Any) -> None:
    assert nested.parse_override(f"a.b={text}") == {"a": {"b": value}}


@pytest.mark.parametrize("text", ["train.steps", "=3", " = 3", ""])
def test_set_without_key_or_value_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigError, match=r"--set wants KEY=VALUE, as in train.steps=100"):
        nested.parse_override(text)


@pytest.mark.parametrize("text", ["[1", "2020-13-45", "0b_", "!!python/name:os.system", "[" * 5000])
def test_set_with_something_that_is_no_value_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is not a value"):
        nested.parse_override(f"data.path={text}")


@quick
@given(st.text())
def test_no_text_after_set_breaks_anything(text: str) -> None:
    try:
        config = presets.resolve("tiny", [text])
    except ConfigError as error:
        assert str(error)
    else:
        assert isinstance(config, Config)


@quick
@given(
    st.sampled_from(sorted(configuration.keys())),
    st.text("0123456789eE+-._bxo:[]{}, nulltrue", max_size=12) | st.integers().map(str),
)
def test_no_value_of_a_key_breaks_anything(key: str, value: str) -> None:
    try:
        presets.resolve("tiny", [f"{key}={value}"])
    except ConfigError as error:
        assert str(error)


def test_later_settings_win_over_earlier_ones() -> None:
    assert presets.resolve("tiny", ["train.steps=3", "train.steps=5"]).train.steps == 5


json_values = st.recursive(
    st.integers() | st.text(max_size=3) | st.none(),
    lambda inner: st.dictionaries(st.text("abc", min_size=1, max_size=2), inner, max_size=3),
    max_leaves=8,
)
groups = st.dictionaries(st.text("abc", min_size=1, max_size=2), json_values, max_size=3)


def flat(values: Any, prefix: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    if not isinstance(values, dict) or not values:
        return {prefix: values}
    return {
        key: value
        for name, inner in values.items()
        for key, value in flat(inner, (*prefix, name)).items()
    }


@quick
@given(groups, groups)
def test_merging_keeps_what_is_over_and_all_that_it_does_not_touch(
    base: dict[str, Any], over: dict[str, Any]
) -> None:
    merged = flat(nested.merge(base, over))
    top = flat(over)
    for key, value in top.items():
        if value != {}:
            assert merged[key] == value
    for key, value in flat(base).items():
        touched = any(key[: len(k)] == k or k[: len(key)] == key for k in top)
        if key and not touched:
            assert merged[key] == value


# --- presets -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", presets.names())
def test_every_shipped_preset_resolves_and_describes_itself(name: str) -> None:
    config = presets.resolve(name)
    assert config.description
    assert presets.title(name) == name


def test_the_shipped_presets() -> None:
    assert {"tiny", "tiny-lora", "tiny-nvme"} <= set(presets.names())
    assert not any(name.startswith("_") for name in presets.names())


def test_tiny_is_what_its_line_says() -> None:
    tiny = presets.resolve("tiny")
    assert tiny.model.tiny
    assert (tiny.model.tiny.layers, tiny.model.tiny.experts) == (4, 16)
    assert (tiny.launch.nproc, tiny.launch.device) == (2, "cpu")
    assert (tiny.engine.zero_stage, tiny.model.dtype) == (3, "bfloat16")
    assert (tiny.engine.offload_optimizer, tiny.engine.offload_params) == ("cpu", "cpu")


def test_a_preset_that_extends_another_changes_only_what_it_names() -> None:
    base, nvme = presets.resolve("tiny"), presets.resolve("tiny-nvme")
    assert nvme.engine.offload_optimizer == "nvme"
    nvme.engine.offload_optimizer = base.engine.offload_optimizer
    nvme.description = base.description
    assert nvme == base


def test_a_preset_may_be_a_file_that_extends_a_shipped_one(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("extends: tiny\ntrain: {steps: 7}\n")
    config = presets.resolve(str(mine))
    assert (config.train.steps, config.launch.nproc) == (7, 2)
    assert presets.title(str(mine)) == "mine"


def test_presets_that_extend_each_other_in_a_circle_are_refused(tmp_path: Path) -> None:
    one, two = tmp_path / "one.yaml", tmp_path / "two.yaml"
    one.write_text(f"extends: {two}\n")
    two.write_text(f"extends: {one}\n")
    assert problem(preset=str(one)) == (
        f"presets extend each other in a circle: {one} → {two} → {one}"
    )
    one.write_text(f"extends: {one}\n")
    assert "in a circle" in problem(preset=str(one))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[1, 2", "is not YAML"),
        (b"- a\n", "holds no keys"),
        (b"", "holds no keys"),
        (b"extends: [tiny]\n", "extends wants one name, not ['tiny']"),
        (b"\xff\xfe\xfa", "is not text in UTF-8"),
        (b"extends: tinny\n", "no preset tinny; did you mean tiny?"),
        (b"a: 2020-02-31\n", "is not YAML"),
    ],
)
def test_a_preset_that_cannot_be_read_says_why(tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "broken.yaml"
    file.write_bytes(content)
    assert said in problem(preset=str(file))


def test_an_unknown_preset_is_told_with_the_nearest_and_all_names() -> None:
    said = problem(preset="tiny-lara")
    assert said.startswith("no preset tiny-lara; did you mean tiny-lora? (there are: ")
    assert "tiny-nvme" in said


def test_a_preset_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    assert "No such file" in problem(preset=str(tmp_path / "none.yaml"))


# --- run.yaml ----------------------------------------------------------------------------


def write_run(path: Path, config: Config) -> Path:
    values = {"config": msgspec.to_builtins(config)}
    path.write_text(nested.dump_yaml(values), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", presets.names())
def test_a_preset_survives_run_yaml(tmp_path: Path, name: str) -> None:
    config = presets.resolve(name)
    assert configuration.load_run(write_run(tmp_path / "run.yaml", config)) == config


@pytest.mark.parametrize("text", ["1e5", "+1E5", "0e0", "12", "null", "2020-01-01", "yes", "a: b"])
def test_a_text_that_looks_like_something_else_stays_a_text(tmp_path: Path, text: str) -> None:
    config = configuration.build(TINY | {"description": text, "data": {"path": text}})
    assert configuration.load_run(write_run(tmp_path / "run.yaml", config)) == config


@quick
@given(
    lr=st.floats(1e-300, 1e300),
    betas=st.tuples(st.floats(0, 0.999), st.floats(0, 0.999)),
    path=st.text(min_size=1).filter(lambda text: text.isprintable()),
    targets=st.lists(st.sampled_from(["attention", "shared"]), min_size=1),
    description=st.text().filter(lambda text: text.isprintable()),
)
def test_any_configuration_survives_run_yaml_to_the_last_bit(
    tmp_path_factory: pytest.TempPathFactory, description: str, lr: float, path: str, **drawn: Any
) -> None:
    values = nested.merge(
        TINY,
        {
            "description": description,
            "train": {"lr": lr},
            "data": {"path": path},
            "optimizer": {"betas": drawn["betas"]},
            "adapter": {"kind": "lora", "targets": drawn["targets"]},
        },
    )
    config = configuration.build(values)
    file = tmp_path_factory.getbasetemp() / "run.yaml"
    assert configuration.load_run(write_run(file, config)) == config


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"config: [", "is not YAML"),
        (b"\xff\xff", "is not YAML"),
        (b"a: 1\n", "has no `config` section"),
        (b"[]", "has no `config` section"),
        (b"config: 3\n", "the configuration must be a group of keys, not 3"),
        (b"config: {}\n", "set exactly one of model.path and model.tiny"),
    ],
)
def test_a_run_yaml_that_cannot_be_used_says_why(tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "run.yaml"
    file.write_bytes(content)
    with pytest.raises(ConfigError) as error:
        configuration.load_run(file)
    assert said in str(error.value)


def test_a_run_yaml_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*: No such file"):
        configuration.load_run(tmp_path / "run.yaml")
