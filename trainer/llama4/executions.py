"""The three ways to compute attention over sequences laid end to end, and which can run where.

Each takes query [T, H, D], key and value [T, K, D] (H a multiple of K), Spans, the scale of the
logits and the dropout of their softmax, and returns [T, H, D]. None builds a mask.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import torch
from torch.nn import functional

from trainer.contract.config import ConfigError
from trainer.llama4.spans import Spans

Execution = Callable[..., torch.Tensor]


def flash(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    spans: Spans,
    scale: float,
    dropout: float = 0.0,
) -> torch.Tensor:
    """flash-attn's kernel for sequences of different lengths. CUDA, 16 bits."""
    from flash_attn import flash_attn_varlen_func  # noqa: PLC0415 - an optional package

    mixed: torch.Tensor = flash_attn_varlen_func(
        query,
        key,
        value,
        cu_seqlens_q=spans.starts_N1,
        cu_seqlens_k=spans.starts_N1,
        max_seqlen_q=spans.longest,
        max_seqlen_k=spans.longest,
        dropout_p=dropout,
        softmax_scale=scale,
        causal=True,
    )
    return mixed


def varlen(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    spans: Spans,
    scale: float,
    dropout: float = 0.0,
) -> torch.Tensor:
    """torch's own copy of that kernel. CUDA, 16 bits, no dropout."""
    assert not dropout, "see `obstacles`"
    from torch.nn.attention.varlen import varlen_attn  # noqa: PLC0415 - absent in some builds

    shares_heads: dict[str, Any] = {"enable_gqa": True}
    if "enable_gqa" not in _varlen_options():
        shares_heads = {}
        key, value = _for_every_query_head(query, key, value)
    mixed = varlen_attn(
        query,
        key,
        value,
        spans.starts_N1,
        spans.starts_N1,
        spans.longest,
        spans.longest,
        scale=scale,
        window_size=(-1, 0),  # itself and all before it
        **shares_heads,
    )
    assert isinstance(mixed, torch.Tensor), "a pair only where more is asked for"
    return mixed


def sdpa(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    spans: Spans,
    scale: float,
    dropout: float = 0.0,
) -> torch.Tensor:
    """One call of torch's SDPA for every run of sequences of equal length. Anywhere."""
    if query.device.type == "cuda" and query.dtype == torch.float32:
        # Of the CUDA kernels the one for float32 shares no heads; SDPA would fall back to
        # computing all logits at once.
        key, value = _for_every_query_head(query, key, value)
    sizes = [count * length for count, length in spans.runs]
    parts = zip(query.split(sizes), key.split(sizes), value.split(sizes), spans.runs, strict=True)
    mixed = [
        functional.scaled_dot_product_attention(
            _heads_first(query_run, length),
            _heads_first(key_run, length),
            _heads_first(value_run, length),
            dropout_p=dropout,
            is_causal=True,
            scale=scale,
            enable_gqa=query.shape[1] != key.shape[1],
        )
        .transpose(1, 2)
        .flatten(0, 1)
        for query_run, key_run, value_run, (_, length) in parts
    ]
    return mixed[0] if len(mixed) == 1 else torch.cat(mixed)


EXECUTIONS: dict[str, Execution] = {"flash": flash, "varlen": varlen, "sdpa": sdpa}


def choose(
    kind: str, device: torch.device, dtype: torch.dtype, head_dim: int, dropout: float
) -> str:
    """The execution of an attention.kind for layers like these; `auto` takes the first that can
    run. Raises ConfigError where the one that was asked for cannot."""

    def obstacle(name: str) -> str:
        return next(obstacles(name, device, dtype, head_dim, dropout), "")

    if kind == "auto":
        return next(name for name in EXECUTIONS if not obstacle(name))
    if problem := obstacle(kind):
        raise ConfigError(f"attention.kind {kind} {problem}; auto takes what can run")
    return kind


def obstacles(
    name: str, device: torch.device, dtype: torch.dtype, head_dim: int, dropout: float
) -> Iterator[str]:
    """Why an execution cannot run here, the plainest reason first."""
    if name not in {"flash", "varlen"}:
        return
    if device.type != "cuda":
        yield f"needs an NVIDIA GPU, and this run is on {device.type}"
    if name == "flash" and not _importable("flash_attn"):
        yield "needs the package flash-attn, which is not installed or not for this torch"
    if name == "varlen" and not _importable("torch.nn.attention.varlen"):
        yield "needs torch 2.10 or newer"
    if dtype not in {torch.bfloat16, torch.float16}:
        yield f"computes in 16 bits, and model.dtype is {str(dtype).removeprefix('torch.')}"
    if head_dim % 8 or head_dim > 256:
        yield f"wants heads of a multiple of 8 and at most 256 numbers, not {head_dim}"
    if name == "varlen" and dropout:
        yield "has no dropout, and the model's attention_dropout is not 0"
    if device.type == "cuda" and torch.cuda.get_device_capability(device) < (8, 0):
        found = torch.cuda.get_device_name(device)
        yield f"needs a GPU of the Ampere generation or newer, not {found}"


@cache
def _importable(module: str) -> bool:
    """Whether a package is installed and works: a flash-attn built for another torch does not."""
    try:
        return importlib.util.find_spec(module) is not None and bool(
            importlib.import_module(module)
        )
    except (ImportError, OSError):
        return False


@cache
def _varlen_options() -> frozenset[str]:
    from torch.nn.attention.varlen import varlen_attn  # noqa: PLC0415 - absent in some builds

    return frozenset(inspect.signature(varlen_attn).parameters)


def _for_every_query_head(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Key and value [T, K, D] repeated to [T, H, D]."""
    times = query.shape[1] // key.shape[1]
    return key.repeat_interleave(times, 1), value.repeat_interleave(times, 1)


def _heads_first(run: torch.Tensor, length: int) -> torch.Tensor:
    """[n × length, heads, D] as [n, heads, length, D], without a copy."""
    return run.view(-1, length, *run.shape[1:]).transpose(1, 2)
