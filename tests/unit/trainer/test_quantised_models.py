"""Whole models with frozen weights in few bits: swapped in place, or loaded that way."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
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
)

from trainer.contract import config as configuration
from trainer.contract.config import ConfigError
from trainer.llama4 import build
from trainer.llama4.quant import (
    QuantizedStack,
    load_quantized,
    quantize_model_,
    quantized_values,
    random_quantized,
    stacks,
)

CPU = torch.device("cpu")
KINDS = ["nf4", "int8", "fp8"]
TEXT: dict[str, Any] = {
    "vocab_size": 64, "hidden_size": 16, "intermediate_size": 24, "intermediate_size_mlp": 32,
    "num_hidden_layers": 4, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8,
    "num_local_experts": 4, "attention_chunk_size": 16, "max_position_embeddings": 64,
    "moe_layers": [1, 3], "pad_token_id": 0, "bos_token_id": 0, "eos_token_id": 2,
}  # fmt: skip
VISION: dict[str, Any] = {
    "hidden_size": 16, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2,
    "image_size": 28, "patch_size": 14, "vision_output_dim": 16, "projector_input_dim": 16,
    "projector_output_dim": 16,
}  # fmt: skip
TOKENS = torch.arange(40).view(2, 20) % 64


def text() -> Llama4TextConfig:
    return Llama4TextConfig(**TEXT)


def dense_model(seed: int = 1) -> Llama4ForCausalLM:
    torch.manual_seed(seed)
    return Llama4ForCausalLM(text())


def loaded(path: Path, kind: str = "int8") -> Any:
    return load_quantized(path, text(), kind, torch.float32, CPU, "sdpa")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text")
    dense_model().save_pretrained(path)
    return path


def altered(checkpoint: Path, path: Path, change: Any) -> Path:
    tensors = load_file(checkpoint / "model.safetensors")
    change(tensors)
    save_file(tensors, path / "model.safetensors")
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_a_swapped_model_computes_with_its_dequantised_weights(kind: str) -> None:
    model, reference = dense_model(), dense_model()
    quantize_model_(model, kind)
    for name, stack in stacks(model).items():
        weight = reference.get_parameter(name)
        weight.data.copy_(stack.dequantize(0, len(stack), torch.float32).view(weight.shape))
    torch.testing.assert_close(model(TOKENS).logits, reference(TOKENS).logits)
    for found in (model, reference):
        found(TOKENS, labels=TOKENS).loss.backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, reference.get_parameter(name).grad)


def test_everything_in_the_layers_but_routers_and_norms_is_quantised() -> None:
    model = dense_model()
    wanted = {name for name, p in model.named_parameters() if p.dim() > 1}
    sizes = sum(p.numel() for p in model.parameters())
    quantize_model_(model, "int8")
    left = {name for name, p in model.named_parameters() if p.dim() > 1}
    routers = {f"model.layers.{n}.feed_forward.router.weight" for n in (1, 3)}
    assert left == {"model.embed_tokens.weight", "lm_head.weight", *routers}
    assert set(stacks(model)) == wanted - left
    assert quantized_values(model) + sum(p.numel() for p in model.parameters()) == sizes


def test_the_name_of_a_weight_that_is_not_finite_is_told() -> None:
    model = dense_model()
    model.model.layers[2].self_attn.o_proj.weight.data[0, 0] = float("nan")
    with pytest.raises(ValueError, match=r"layers\.2\.self_attn\.o_proj: .*not finite"):
        quantize_model_(model, "nf4")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shard", ["50GB", "20KB"])
def test_a_checkpoint_loads_as_the_model_that_is_quantised_afterwards(
    kind: str, shard: str, tmp_path: Path
) -> None:
    model = dense_model()
    model.save_pretrained(tmp_path, max_shard_size=shard)
    assert (tmp_path / "model.safetensors.index.json").exists() == (shard == "20KB")
    quantize_model_(model, kind)
    same(loaded(tmp_path, kind), model)


def same(found: Any, wanted: Any) -> None:
    assert set(stacks(found)) == set(stacks(wanted))
    for name, stack in stacks(found).items():
        assert torch.equal(stack.codes, stacks(wanted)[name].codes)
        assert torch.equal(stack.scales, stacks(wanted)[name].scales)
    assert [name for name, _ in found.named_parameters()] == [
        n for n, _ in wanted.named_parameters()
    ]
    assert not any(parameter.requires_grad for parameter in found.parameters())
    assert torch.equal(found(TOKENS).logits, wanted(TOKENS).logits)


def test_of_a_checkpoint_with_eyes_the_text_part_is_loaded(tmp_path: Path) -> None:
    torch.manual_seed(2)
    whole = Llama4ForConditionalGeneration(Llama4Config(text_config=TEXT, vision_config=VISION))
    whole.save_pretrained(tmp_path)
    wanted = copy.deepcopy(whole.language_model)
    quantize_model_(wanted, "int8")
    same(loaded(tmp_path), wanted)


def test_other_weights_take_the_training_dtype(checkpoint: Path) -> None:
    model = load_quantized(checkpoint, text(), "int8", torch.bfloat16, CPU, "sdpa")
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    for name, buffer in model.model.rotary_emb.named_buffers():
        assert torch.equal(buffer, dense_model().model.rotary_emb.get_buffer(name))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda t: t.pop("model.layers.1.feed_forward.experts.down_proj"), "lacks model.layers.1"),
        (lambda t: t["model.norm.weight"].resize_(8), r"shape is \[8\].* makes it \[16\]"),
        (
            lambda t: t.update({"lm_head.weight": t["lm_head.weight"].to(torch.float8_e4m3fn)}),
            "lm_head.weight in .*F8_E4M3: only a checkpoint in 16 or 32 bits",
        ),
        (
            lambda t: t["model.layers.3.feed_forward.experts.gate_up_proj"][2].fill_(torch.inf),
            "layers.3.feed_forward.experts.gate_up_proj in .* not finite",
        ),
    ],
    ids=["missing", "shape", "dtype", "infinite"],
)
def test_a_checkpoint_that_cannot_be_used_says_why(
    change: Any, told: str, checkpoint: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=told):
        loaded(altered(checkpoint, tmp_path, change))


def test_a_missing_or_broken_file_is_named(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no safetensors files"):
        loaded(tmp_path)
    cut = tmp_path / "model.safetensors"
    cut.write_bytes((checkpoint / "model.safetensors").read_bytes()[:-100])
    with pytest.raises(ConfigError, match=r"model\.safetensors cannot be read"):
        loaded(tmp_path)
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"lm_head.weight": "model-00009.safetensors"}}))
    with pytest.raises(ConfigError, match=r"lacks the file model-00009\.safetensors"):
        loaded(tmp_path)
    index.write_text("{")
    with pytest.raises(ConfigError, match=r"index\.json cannot be read"):
        loaded(tmp_path)


def test_loading_needs_memory_for_the_model_and_little_more(tmp_path: Path) -> None:
    """The kernel refuses more. The dense weights are 74 MiB, the largest stack of experts 48 MiB,
    one expert's matrix 1 MiB."""
    shape = {"hidden_size": 256, "intermediate_size": 512, "num_local_experts": 48}
    config = Llama4TextConfig(**TEXT | shape | {"num_hidden_layers": 1, "moe_layers": [0]})
    model = Llama4ForCausalLM(config)
    model.save_pretrained(tmp_path)
    dense = sum(p.nbytes for p in model.parameters())
    quantized = dense // 7
    mapped = (tmp_path / "model.safetensors").stat().st_size
    script = Path(__file__).with_name("load_in_little_memory.py")

    room = mapped + quantized + 12 * 2**20
    command = [sys.executable, str(script), str(tmp_path), str(room)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert dense > 72 * 2**20
    assert done.stdout.splitlines() == ["nf4 loaded", "bfloat16 refused"], done.stderr[-2000:]


def test_a_random_model_is_the_seeds(checkpoint: Path) -> None:
    made = [random_quantized(text(), "nf4", torch.float32, CPU, "sdpa", seed) for seed in (0, 0, 1)]
    logits = [model(TOKENS).logits for model in made]
    assert torch.equal(logits[0], logits[1])
    assert not torch.equal(logits[0], logits[2])
    stack: QuantizedStack = stacks(made[0])["model.layers.1.feed_forward.experts.down_proj"]
    assert stack.dequantize(0, 4, torch.float32).std() == pytest.approx(0.02, rel=0.1)


@pytest.mark.parametrize("source", ["path", "tiny"])
def test_a_run_with_qlora_builds_a_quantised_model(source: str, checkpoint: Path) -> None:
    tiny = {"tiny": {"hidden": 32, "experts": 4, "layers": 2}}
    config = configuration.build({
        "model": {"dtype": "float32"} | (tiny if source == "tiny" else {"path": str(checkpoint)}),
        "adapter": {"kind": "qlora", "quant": "int8"},
        "engine": {"zero_stage": 2},
    })  # fmt: skip
    shape = build.text_config(config, vocabulary=64)
    model = build.build(config, shape)
    assert quantized_values(model) > 0
    kept = sum(p.numel() for p in model.parameters())
    weights = sum(p.numel() for p in Llama4ForCausalLM(shape).parameters())
    assert build.describe(model, shape, config).parameters == weights
    assert kept < weights / 2
