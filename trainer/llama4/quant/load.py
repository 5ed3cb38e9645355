"""Building a quantised model without ever having the dense one.

The model is built without weights, its quantised places are made on the device, and the tensors
of a checkpoint pass through one matrix at a time: host memory beyond the model's own (on a CPU)
is a few copies of one expert's matrix.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import nn
from transformers import Llama4ForCausalLM, Llama4TextConfig, PreTrainedModel
from transformers.models.llama4.modeling_llama4 import Llama4TextRotaryEmbedding

from trainer.contract.config import ConfigError
from trainer.llama4.quant.files import tensor_files
from trainer.llama4.quant.stack import QuantizedStack
from trainer.llama4.quant.swap import stacks, swap_empty_

PIECE = 64 * 2**20
"""Bytes of a dense tensor that pass at once."""
_READABLE = {"BF16", "F16", "F32"}


def load_quantized(
    path: Path,
    text: Llama4TextConfig,
    kind: str,
    dtype: torch.dtype,
    device: torch.device,
    attention: str,
) -> PreTrainedModel:
    """The text part of a checkpoint in Hugging Face format, quantised while it is read, on
    device. Raises ConfigError where it is not whole or cannot be used."""
    files = tensor_files(path)
    model = skeleton(text, kind, dtype, device, attention)
    targets: dict[str, QuantizedStack | nn.Parameter] = stacks(model) | dict(
        model.named_parameters()  # a tied head is no parameter of its own
    )
    if missing := sorted(set(targets) - set(files)):
        more = f" and {len(missing) - 1} more" if missing[1:] else ""
        raise ConfigError(f"model.path: {path} lacks {missing[0]}{more}")
    by_file: dict[Path, list[str]] = {}
    for name in targets:
        by_file.setdefault(files[name].path, []).append(name)
    for file, names in by_file.items():
        _fill(file, {files[name].key: targets[name] for name in names})
    return model


def random_quantized(
    text: Llama4TextConfig,
    kind: str,
    dtype: torch.dtype,
    device: torch.device,
    attention: str,
    seed: int,
) -> PreTrainedModel:
    """A model of that shape with random quantised weights, on device; for measurements."""
    model = skeleton(text, kind, dtype, device, attention)
    generator = torch.Generator(device).manual_seed(seed)
    for stack in stacks(model).values():
        stack.fill_normal(text.initializer_range, generator)
    for parameter in model.parameters():
        if parameter.dim() > 1:
            parameter.data.normal_(0.0, text.initializer_range, generator=generator)
        else:  # norms
            parameter.data.fill_(1.0)
    return model


def skeleton(
    text: Llama4TextConfig, kind: str, dtype: torch.dtype, device: torch.device, attention: str
) -> PreTrainedModel:
    """A model whose quantised weights are zeros, whose other parameters are not initialised, all
    of them frozen and on device. Raises ConfigError where kind's library is missing."""
    text._attn_implementation = attention
    with torch.device("meta"):
        model: PreTrainedModel = Llama4ForCausalLM(text)
    swap_empty_(model, kind, device)
    for module in model.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            if parameter.is_meta:
                empty = torch.empty(parameter.shape, dtype=dtype, device=device)
                setattr(module, name, nn.Parameter(empty, requires_grad=False))
        for name, child in module.named_children():
            if isinstance(child, Llama4TextRotaryEmbedding):  # its buffers are computed
                setattr(module, name, type(child)(config=child.config).to(device))
    model.tie_weights()
    assert not any(buffer.is_meta for buffer in model.buffers())
    return model


@torch.no_grad()
def _fill(file: Path, targets: dict[str, QuantizedStack | nn.Parameter]) -> None:
    key = ""
    try:
        with safe_open(file, framework="pt") as tensors:
            for key, target in targets.items():
                source = tensors.get_slice(key)
                if source.get_dtype() not in _READABLE:
                    raise ValueError(f"{source.get_dtype()}: only a checkpoint in 16 or 32 bits")
                _check_shape(target, source.get_shape())
                if isinstance(target, QuantizedStack):
                    _fill_stack(target, source)
                else:
                    for rows in _pieces(target):
                        target[rows].copy_(source[rows])
    except (ValueError, OSError, SafetensorError) as error:
        raise ConfigError(f"model.path: {key} in {file} cannot be used: {error}") from None


def _fill_stack(stack: QuantizedStack, source: Any) -> None:
    if len(source.get_shape()) == 2:
        stack.put(0, source[:])
        return
    for index in range(len(stack)):
        stack.put(index, source[index])


def _check_shape(target: QuantizedStack | nn.Parameter, found: list[int]) -> None:
    wanted = list(target.shape)
    if found != (wanted[1:] if len(found) == 2 and len(wanted) == 3 else wanted):
        raise ValueError(f"its shape is {found}, config.json makes it {wanted}")


def _pieces(parameter: nn.Parameter) -> Iterator[slice]:
    """Ranges of rows."""
    step = max(1, PIECE * len(parameter) // max(1, parameter.numel() * 4))
    for start in range(0, len(parameter), step):
        yield slice(start, min(start + step, len(parameter)))
