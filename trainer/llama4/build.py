"""The model of a run: a random tiny Llama 4, or the text part of a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, Llama4ForCausalLM, Llama4TextConfig, PreTrainedModel

from trainer.contract import messages
from trainer.contract.config import Config, ConfigError, TinyModel
from trainer.llama4 import loss
from trainer.llama4.attention import convert_attention
from trainer.llama4.executions import choose
from trainer.llama4.flops import flops_per_token
from trainer.llama4.linear import widen
from trainer.llama4.moe import make_sparse
from trainer.llama4.quant import load_quantized, quantize_model_, quantized_values
from trainer.llama4.recompute import recompute

CPU = torch.device("cpu")


def text_config(config: Config, vocabulary: int) -> Llama4TextConfig:
    """The Transformers configuration; vocabulary is that of the data. Raises ConfigError."""
    if config.model.tiny:
        return _tiny(config.model.tiny, vocabulary, config.data.seq_len)
    path = Path(config.model.path or "").expanduser()
    if not (path / "config.json").is_file():
        raise ConfigError(f"model.path: no config.json in {path}")
    try:
        found = AutoConfig.from_pretrained(path)
    except Exception as error:  # of many types, for what can be wrong in the file
        reason = str(error).split("\n")[0][:300]
        raise ConfigError(f"model.path: {path}/config.json cannot be used: {reason}") from None
    found = getattr(found, "text_config", found)
    if not isinstance(found, Llama4TextConfig):
        raise ConfigError(f"model.path: {path} holds a {found.model_type}, not a Llama 4")
    if found.hidden_act != "silu":
        raise ConfigError(f"model.path: {path} uses {found.hidden_act}; Llama 4 uses silu")
    return found


def _tiny(tiny: TinyModel, vocabulary: int, seq_len: int) -> Llama4TextConfig:
    return Llama4TextConfig(
        vocab_size=vocabulary,
        hidden_size=tiny.hidden,
        intermediate_size=tiny.intermediate,
        intermediate_size_mlp=2 * tiny.intermediate,
        num_hidden_layers=tiny.layers,
        num_attention_heads=tiny.heads,
        num_key_value_heads=tiny.heads // 2,
        head_dim=tiny.hidden // tiny.heads,
        num_local_experts=tiny.experts,
        num_experts_per_tok=1,
        attention_chunk_size=tiny.chunk,
        max_position_embeddings=max(seq_len, tiny.chunk),
        rope_parameters={"rope_type": "default", "rope_theta": 500000.0},
        bos_token_id=0,
        eos_token_id=2,
        use_cache=False,
    )


def attention(config: Config, text: Llama4TextConfig, device: torch.device) -> str:
    """The execution that attention.kind means on this device. Raises ConfigError where it cannot
    run."""
    dtype = getattr(torch, config.model.dtype)
    return choose(config.attention.kind, device, dtype, text.head_dim, text.attention_dropout)


def build(config: Config, text: Llama4TextConfig, device: torch.device = CPU) -> PreTrainedModel:
    """The model on the CPU in its training dtype, weights included, made for a device. For a tiny
    one the seed decides the weights, the same on every rank; under ZeRO-3 a checkpoint's weights
    are partitioned as they load (keep an HfDeepSpeedConfig alive around this call); for qlora they
    are quantised as they load, and the model lies on device. Raises ConfigError where the
    checkpoint is not whole or the device lacks what was asked for."""
    dtype = getattr(torch, config.model.dtype)
    execution = attention(config, text, device)
    stock = "eager" if execution == "eager" else "sdpa"
    torch.manual_seed(config.train.seed)
    path = Path(config.model.path).expanduser() if config.model.path else None
    quant = config.adapter.quant if config.adapter.kind == "qlora" else None
    if path and quant:
        model = load_quantized(path, text, quant, dtype, device, stock)
    elif path:
        model = _load(path, text, dtype, stock)
    else:
        text._attn_implementation = stock
        model = Llama4ForCausalLM(text)
        # Not model.to(dtype): that would also round the frequencies of RoPE.
        for parameter in model.parameters():
            parameter.data = parameter.data.to(dtype)
        if quant:
            quantize_model_(model, quant)
    convert_attention(model, execution)
    model.config.use_cache = False
    if config.moe.kind == "sparse":
        make_sparse(model)
        widen(model.model)
    if config.train.loss == "chunked":
        loss.install(model)
    if config.activation_checkpointing != "none":
        recompute(model, config.activation_checkpointing)
    return model


def _load(
    path: Path, text: Llama4TextConfig, dtype: torch.dtype, attention: str
) -> PreTrainedModel:
    """The text part of a checkpoint; raises ConfigError where weights are missing, which would
    otherwise be random."""
    if not any(path.glob("*.safetensors")):
        raise ConfigError(f"model.path: no safetensors files in {path}")
    loaded: Any = Llama4ForCausalLM.from_pretrained(
        path,
        config=text,
        dtype=dtype,
        attn_implementation=attention,
        output_loading_info=True,
    )
    model: PreTrainedModel = loaded[0]
    if missing := sorted(loaded[1]["missing_keys"]):
        more = f" and {len(missing) - 1} more" if missing[1:] else ""
        raise ConfigError(f"model.path: {path} lacks {missing[0]}{more}")
    return model


def describe(model: torch.nn.Module, text: Llama4TextConfig, config: Config) -> messages.Model:
    """The model's shape for `hello`, and its work per token."""

    def size(parameter: torch.nn.Parameter) -> int:
        return int(getattr(parameter, "ds_numel", parameter.numel()))

    parameters = list(model.parameters())
    return messages.Model(
        layers=text.num_hidden_layers,
        moe_layers=sorted(text.moe_layers or []),
        experts=text.num_local_experts,
        experts_per_token=text.num_experts_per_tok,
        hidden=text.hidden_size,
        vocabulary=text.vocab_size,
        parameters=sum(map(size, parameters)) + quantized_values(model),
        trainable=sum(size(p) for p in parameters if p.requires_grad),
        flops_per_token=flops_per_token(text, config.adapter, config.data.seq_len),
    )
