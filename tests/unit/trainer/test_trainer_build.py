"""Models: a random tiny one, a checkpoint's text part, and adapters on either."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    Llama4Config,
    Llama4ForCausalLM,
    Llama4ForConditionalGeneration,
    Llama4TextConfig,
    LlamaConfig,
)
from transformers.models.llama4.modeling_llama4 import Llama4TextAttention

from trainer.contract import config as configuration
from trainer.contract import values as nested
from trainer.contract.config import Adapter, Config, ConfigError
from trainer.llama4 import adapters, build
from trainer.llama4.attention import PackedAttention
from trainer.llama4.flops import flops_per_token

TEXT: dict[str, Any] = {
    "vocab_size": 64, "hidden_size": 16, "intermediate_size": 16, "intermediate_size_mlp": 32,
    "num_hidden_layers": 4, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8,
    "num_local_experts": 4, "attention_chunk_size": 16, "max_position_embeddings": 64,
    "pad_token_id": 0, "bos_token_id": 0, "eos_token_id": 2,
}  # fmt: skip
VISION: dict[str, Any] = {
    "hidden_size": 16, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2,
    "image_size": 28, "patch_size": 14, "vision_output_dim": 16, "projector_input_dim": 16,
    "projector_output_dim": 16,
}  # fmt: skip


def config_for(path: Path | None, **more: Any) -> Config:
    model: dict[str, Any] = {"path": str(path)} if path else {"tiny": {"hidden": 32, "experts": 4}}
    values = {"model": {"dtype": "float32"} | model}
    return configuration.build(nested.merge(values, more))


def built(config: Config) -> Any:
    return build.build(config, build.text_config(config, vocabulary=64))


@pytest.fixture(scope="module")
def text_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("text")
    Llama4ForCausalLM(Llama4TextConfig(**TEXT)).save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def whole_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With eyes, as the published ones have them."""
    torch.manual_seed(2)
    path = tmp_path_factory.mktemp("whole")
    config = Llama4Config(text_config=TEXT, vision_config=VISION)
    Llama4ForConditionalGeneration(config).save_pretrained(path)
    return path


def stored(path: Path) -> dict[str, torch.Tensor]:
    return {k: v for file in path.glob("*.safetensors") for k, v in load_file(file).items()}


def test_a_text_checkpoint_loads_with_its_weights(text_checkpoint: Path) -> None:
    loaded, wanted = built(config_for(text_checkpoint)).state_dict(), stored(text_checkpoint)
    assert set(wanted) == set(loaded)
    assert all(torch.equal(loaded[name], wanted[name]) for name in wanted)


def test_of_a_checkpoint_with_eyes_the_text_part_loads_with_its_weights(
    whole_checkpoint: Path,
) -> None:
    prefix = "language_model."
    every = stored(whole_checkpoint)
    assert any(not name.startswith(prefix) for name in every), "it has other parts too"
    wanted = {k.removeprefix(prefix): v for k, v in every.items() if k.startswith(prefix)}
    loaded = built(config_for(whole_checkpoint)).state_dict()
    assert set(wanted) == set(loaded)
    assert [name for name in wanted if not torch.equal(loaded[name], wanted[name])] == []


def test_a_checkpoint_that_lacks_weights_is_refused(text_checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text((text_checkpoint / "config.json").read_text())
    weights = stored(text_checkpoint)
    del weights["model.layers.1.feed_forward.router.weight"]
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(ConfigError, match=r"lacks model.layers.1.feed_forward.router.weight"):
        built(config_for(tmp_path))


def test_a_checkpoint_without_weights_says_so(text_checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text((text_checkpoint / "config.json").read_text())
    with pytest.raises(ConfigError, match=r"model.path: no safetensors files in"):
        built(config_for(tmp_path))


def test_the_training_dtype_is_the_configured_one(text_checkpoint: Path) -> None:
    for path in (text_checkpoint, None):
        model = built(config_for(path, model={"dtype": "bfloat16"}))
        assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}


def test_the_frequencies_of_rope_keep_their_precision(text_checkpoint: Path) -> None:
    """In bfloat16 the rotation of a far token would be off by radians."""
    for path in (text_checkpoint, None):
        exact, rounded = (
            built(config_for(path, model={"dtype": dtype})).model.rotary_emb.inv_freq
            for dtype in ("float32", "bfloat16")
        )
        assert torch.equal(exact, rounded)


@pytest.mark.parametrize(
    ("kind", "layer", "fallback"),
    [
        ("auto", PackedAttention, "sdpa"),
        ("sdpa", PackedAttention, "sdpa"),
        ("eager", Llama4TextAttention, "eager"),
    ],
)
def test_attention_is_of_the_configured_kind(
    text_checkpoint: Path, kind: str, layer: type, fallback: str
) -> None:
    for path in (text_checkpoint, None):
        model = built(config_for(path, attention={"kind": kind}))
        assert {type(each.self_attn) for each in model.model.layers} == {layer}
        assert model.config._attn_implementation == fallback


def test_attention_that_cannot_run_here_is_refused_before_weights_are_read(tmp_path: Path) -> None:
    Llama4TextConfig(**TEXT).save_pretrained(tmp_path)
    for kind in ("flash", "varlen"):
        with pytest.raises(ConfigError, match=rf"attention.kind {kind} needs an NVIDIA GPU"):
            built(config_for(tmp_path, attention={"kind": kind}))


def test_a_path_without_a_model_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"model.path: no config.json in"):
        build.text_config(config_for(tmp_path), 64)


def test_a_model_of_another_family_is_refused(tmp_path: Path) -> None:
    LlamaConfig().save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match=r"holds a llama, not a Llama 4"):
        build.text_config(config_for(tmp_path), 64)


@pytest.mark.parametrize("content", ["{torn", "[]", json.dumps({"model_type": "unheard-of"})])
def test_a_config_json_that_cannot_be_read_says_so(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ConfigError, match=r"model.path: .*config.json"):
        build.text_config(config_for(tmp_path), 64)


def test_a_tiny_model_follows_from_its_seed() -> None:
    one, two = (built(config_for(None)).state_dict() for _ in range(2))
    other = built(config_for(None, train={"seed": 1})).state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_the_shape_that_is_told_is_that_of_the_model() -> None:
    config = config_for(None, model={"tiny": {"layers": 3, "experts": 4, "hidden": 32}})
    text = build.text_config(config, vocabulary=64)
    model = build.build(config, text)
    shape = build.describe(model, text, config)
    assert (shape.layers, shape.moe_layers, shape.experts) == (3, [0, 1, 2], 4)
    assert (shape.experts_per_token, shape.hidden, shape.vocabulary) == (1, 32, 64)
    assert shape.parameters == shape.trainable == sum(p.numel() for p in model.parameters())
    assert shape.flops_per_token == flops_per_token(text, config.adapter, config.data.seq_len)


PLACES = {"attention": 4, "shared": 3, "experts": 2, "router": 1}
TRAINED = {
    "attention": r"self_attn\.[qkvo]_proj\.adapter\.lora_[AB]$",
    "shared": r"feed_forward\.shared_expert\.(gate|up|down)_proj\.adapter\.lora_[AB]$",
    "experts": r"feed_forward\.experts\.(gate_up|down)_adapter\.lora_[AB]$",
    "router": r"feed_forward\.router\.adapter\.lora_[AB]$",
}


@pytest.mark.parametrize(
    "targets", [["attention"], ["shared"], ["experts"], ["router"], list(TRAINED)]
)
def test_only_the_named_targets_train_and_all_of_them(targets: list[Any]) -> None:
    config = config_for(None)
    text = build.text_config(config, 64)
    frozen = sum(p.numel() for p in build.build(config, text).parameters())
    model = build.build(config, text)
    adapters.add(model, Adapter(kind="lora", targets=targets), torch.float32, seed=0)
    wanted = "|".join(TRAINED[target] for target in targets)
    for name, parameter in model.named_parameters():
        assert parameter.requires_grad == bool(re.search(wanted, name)), name
    names = [name for name, p in model.named_parameters() if p.requires_grad]
    assert len(names) == sum(PLACES[t] for t in targets) * 2 * 4
    shape = build.describe(model, text, config)
    assert shape.parameters == frozen + shape.trainable
    # Every adapter's second matrix starts at zero: after one step on it, the first has a gradient.
    tokens = torch.randint(64, (1, 16))
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1.0)
    for _ in range(2):
        optimizer.zero_grad()
        model(input_ids=tokens, labels=tokens).loss.backward()
        optimizer.step()
    still = [n for n, p in model.named_parameters() if p.requires_grad and not p.grad.any()]
    assert still == []


def test_adapters_follow_from_their_seed_and_change_nothing_at_first() -> None:
    config = config_for(None)
    plain = built(config)
    adapted = [built(config) for _ in range(3)]
    for model, seed in zip(adapted, (0, 0, 1), strict=True):
        adapters.add(model, Adapter(kind="lora"), torch.float32, seed)
    drawn = [
        torch.cat([p.flatten() for n, p in model.named_parameters() if "lora_A" in n])
        for model in adapted
    ]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    tokens = torch.randint(64, (1, 16))
    with torch.no_grad():
        assert torch.equal(plain(tokens).logits, adapted[0].eval()(input_ids=tokens).logits)
