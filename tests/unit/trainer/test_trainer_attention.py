"""Attention: Transformers' own on whole rows, and on packed documents that of each alone."""

from __future__ import annotations

import inspect
import itertools
import sys
import types
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from packing_helpers import LENGTHS, WORDS, positions_of, stock_config, stock_model
from torch.nn import functional
from torch.nn.attention import varlen as torch_varlen
from transformers import Llama4ForCausalLM
from transformers.models.llama4.modeling_llama4 import Llama4TextAttention

from trainer.contract.config import Adapter, ConfigError
from trainer.llama4 import adapters, executions
from trainer.llama4.attention import PackedAttention, convert_attention, model_inputs
from trainer.llama4.spans import Spans, attention_inputs

CPU = torch.device("cpu")
some = hypothesis.settings(max_examples=12, deadline=None)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """More only wait for each other on models as small as these."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def converted_model(dtype: torch.dtype = torch.float64, **more: Any) -> Llama4ForCausalLM:
    model = stock_model(dtype, **more)
    convert_attention(model, "sdpa")
    return model


def loss_of(model: torch.nn.Module, tokens: torch.Tensor, **inputs: Any) -> torch.Tensor:
    """The logits, weighed by a fixed random weight for each token and word."""
    logits = model(input_ids=tokens, **inputs).logits
    weights = torch.randn(
        tokens.max() + 1, WORDS, generator=torch.Generator().manual_seed(0), dtype=logits.dtype
    )
    return (logits * weights[tokens]).sum()


def assert_same_gradients(one: torch.nn.Module, other: torch.nn.Module, tolerance: float) -> None:
    pairs = zip(one.named_parameters(), other.parameters(), strict=True)
    for (name, ours), theirs in pairs:
        if theirs.grad is None:
            assert ours.grad is None, name
            continue
        scale = theirs.grad.abs().max()
        assert (ours.grad - theirs.grad).abs().max() <= tolerance * scale + 1e-10, name


# --- against Transformers ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("length", "more"),
    [
        (5, {}),
        (8, {}),
        (30, {}),
        (30, {"use_qk_norm": False}),
        (30, {"attn_temperature_tuning": False}),
        (30, {"num_key_value_heads": 4, "attention_bias": True}),
    ],
    ids=["short", "one chunk", "long", "no norm", "no temperature", "no shared heads, biases"],
)
def test_a_model_on_whole_rows_is_stocks(length: int, more: dict[str, Any]) -> None:
    stock, ours = stock_model(**more), converted_model(**more)
    tokens = torch.randint(WORDS, (2, length))
    positions = torch.arange(length).repeat(2, 1)
    theirs = stock(input_ids=tokens).logits
    assert torch.allclose(ours(tokens, **model_inputs(ours, positions, CPU)).logits, theirs)
    loss_of(stock, tokens).backward()
    loss_of(ours, tokens, **model_inputs(ours, positions, CPU)).backward()
    assert_same_gradients(ours, stock, 1e-5)


def test_it_is_stocks_in_float32_too() -> None:
    stock, ours = stock_model(torch.float32), converted_model(torch.float32)
    tokens, positions = torch.randint(WORDS, (1, 40)), torch.arange(40)[None]
    theirs = stock(tokens).logits
    mine = ours(tokens, **model_inputs(ours, positions, CPU)).logits
    assert (mine - theirs).norm() <= 1e-5 * theirs.norm()


@pytest.mark.parametrize("layer", [0, 1], ids=["chunked", "full"])
@some
@given(lengths=LENGTHS)
def test_a_layer_on_packed_documents_is_stocks_on_each_alone(
    layer: int, lengths: list[int]
) -> None:
    ours, stock = converted_model().model, stock_model().model
    config = stock.config
    assert config.layer_types[:2] == ["chunked_attention", "full_attention"]
    hidden = torch.randn(1, sum(lengths), 32, dtype=torch.float64)
    positions = positions_of(lengths)
    spans = attention_inputs(positions, config)["attention_mask"][config.layer_types[layer]]
    packed, _ = ours.layers[layer].self_attn(hidden, ours.rotary_emb(hidden, positions), spans)
    alone = []
    for document in hidden.split(lengths, dim=1):
        count = torch.arange(document.shape[1])
        sees = count[:, None] >= count
        if layer == 0:
            sees &= count[:, None] // 8 == count // 8
        mask = torch.zeros(sees.shape, dtype=torch.float64).masked_fill(~sees, -torch.inf)
        rotations = stock.rotary_emb(document, count[None])
        alone.append(stock.layers[layer].self_attn(document, rotations, mask[None, None])[0])
    assert torch.allclose(packed, torch.cat(alone, dim=1), rtol=1e-6, atol=1e-7)


@some
@given(lengths=LENGTHS, rows=st.integers(1, 2))
def test_a_model_on_packed_documents_is_stocks_on_each_alone(lengths: list[int], rows: int) -> None:
    stock, ours = stock_model(), converted_model()
    tokens = torch.randint(WORDS, (rows, sum(lengths)))
    inputs = model_inputs(ours, positions_of(lengths).repeat(rows, 1), CPU)
    documents = [part for row in tokens.split(1) for part in row.split(lengths, dim=1)]
    with torch.no_grad():
        mine = ours(tokens, **inputs).logits
        theirs = torch.cat([stock(document).logits[0] for document in documents])
    assert torch.allclose(mine.flatten(0, 1), theirs, rtol=1e-6, atol=1e-6)


def test_gradients_of_packed_documents_are_the_sum_of_each_alone() -> None:
    lengths = [3, 20, 1, 9]
    stock, ours = stock_model(), converted_model()
    tokens = torch.randint(WORDS, (1, sum(lengths)))
    tokens[0, 0] = WORDS - 1  # the weights of the loss need it
    loss_of(ours, tokens, **model_inputs(ours, positions_of(lengths), CPU)).backward()
    weights = torch.randn(
        WORDS, WORDS, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    for document in tokens.split(lengths, dim=1):
        (stock(document).logits * weights[document]).sum().backward()
    assert_same_gradients(ours, stock, 1e-5)


# --- what it must get along with ---------------------------------------------------------


@pytest.mark.parametrize("wrapped", [False, True], ids=["plain", "with adapters"])
def test_recomputed_layers_get_the_same_gradients(wrapped: bool) -> None:
    lengths, gradients = [7, 18, 5], []
    tokens = torch.randint(WORDS, (1, sum(lengths)))
    for recompute in (False, True):
        model: Any = converted_model().train()
        if recompute:
            model.activation_checkpointing_enable({"use_reentrant": False})
        if wrapped:
            chosen = Adapter(kind="lora", targets=["attention"])
            adapters.add(model, chosen, next(model.parameters()).dtype, seed=0)
        inputs = model_inputs(model, positions_of(lengths), CPU)
        assert isinstance(inputs["attention_mask"]["full_attention"], Spans)
        loss_of(model, tokens, **inputs).backward()
        gradients.append([p.grad for p in model.parameters() if p.grad is not None])
    assert len(gradients[0]) == len(gradients[1]) > 0
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


def test_weights_and_their_names_stay() -> None:
    stock = stock_model()
    before = dict(stock.named_parameters())
    convert_attention(stock, "sdpa")
    assert all(type(layer.self_attn) is PackedAttention for layer in stock.model.layers)
    after = dict(stock.named_parameters())
    assert list(after) == list(before)
    assert all(after[name] is before[name] for name in before)


def test_without_spans_it_is_the_stock_layer_so_that_text_can_be_generated() -> None:
    prompt = torch.randint(1, WORDS, (1, 6))
    stock, ours = stock_model().eval(), converted_model().eval()
    wanted, found = (
        model.generate(prompt, max_new_tokens=12, do_sample=False, use_cache=True)
        for model in (stock, ours)
    )
    assert torch.equal(wanted, found)


def test_a_stock_model_gets_positions_alone_and_keeps_documents_apart() -> None:
    model, lengths = stock_model(), [4, 9, 3]
    convert_attention(model, "eager")
    assert all(type(layer.self_attn) is Llama4TextAttention for layer in model.model.layers)
    inputs = model_inputs(model, positions_of(lengths), CPU)
    assert list(inputs) == ["position_ids"]
    tokens = torch.randint(WORDS, (1, sum(lengths)))
    changed = tokens.clone()
    changed[0, :4] = (tokens[0, :4] + 1) % WORDS
    with torch.no_grad():
        one, other = (model(t, **inputs).logits for t in (tokens, changed))
    assert torch.equal(one[:, 4:], other[:, 4:])
    assert not torch.equal(one[:, :4], other[:, :4])


# --- executions --------------------------------------------------------------------------


def one_by_one(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, starts: list[int], scale: float
) -> torch.Tensor:
    """Causal attention sequence by sequence, straight from the definition."""
    times = query.shape[1] // key.shape[1]
    key, value = (tensor.repeat_interleave(times, dim=1) for tensor in (key, value))
    parts = []
    for first, end in itertools.pairwise(starts):
        q, k, v = (tensor[first:end].transpose(0, 1) for tensor in (query, key, value))
        logits = q @ k.transpose(1, 2) * scale
        hidden = torch.ones(end - first, end - first).triu(1).bool()
        weights = functional.softmax(logits.masked_fill(hidden, -torch.inf), dim=-1)
        parts.append((weights @ v).transpose(0, 1))
    return torch.cat(parts)


def drawn(lengths: list[int]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, Spans]:
    masks = attention_inputs(positions_of(lengths), stock_config())["attention_mask"]
    tokens = sum(lengths)
    query = torch.randn(tokens, 4, 8, dtype=torch.float64)
    key, value = torch.randn(2, tokens, 2, 8, dtype=torch.float64)
    return query, key, value, masks["full_attention"]


@some
@given(LENGTHS)
def test_sdpa_is_the_definition(lengths: list[int]) -> None:
    query, key, value, spans = drawn(lengths)
    wanted = one_by_one(query, key, value, spans.starts_N1.tolist(), 0.3)
    assert torch.allclose(executions.sdpa(query, key, value, spans, 0.3), wanted)


def test_flash_attn_is_told_the_sequences(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in with flash-attn's signature: the kernel needs a GPU."""

    def flash_attn_varlen_func(
        q: Any, k: Any, v: Any, cu_seqlens_q: Any, cu_seqlens_k: Any, max_seqlen_q: int,
        max_seqlen_k: int, dropout_p: float = 0.0, softmax_scale: Any = None, causal: bool = False,
    ) -> torch.Tensor:  # fmt: skip
        assert torch.equal(cu_seqlens_q, cu_seqlens_k)
        assert (max_seqlen_q, max_seqlen_k, dropout_p, causal) == (9, 9, 0.0, True)
        return one_by_one(q, k, v, cu_seqlens_q.tolist(), softmax_scale)

    module: Any = types.ModuleType("flash_attn")
    module.flash_attn_varlen_func = flash_attn_varlen_func
    monkeypatch.setitem(sys.modules, "flash_attn", module)
    arguments = drawn([4, 9, 3])
    assert torch.allclose(executions.flash(*arguments, 0.3), executions.sdpa(*arguments, 0.3))


@pytest.mark.parametrize("shares_heads", [True, False], ids=["torch 2.13", "torch 2.11"])
def test_torchs_varlen_is_told_the_sequences(
    monkeypatch: pytest.MonkeyPatch, shares_heads: bool
) -> None:
    """A stand-in with torch's signature, which once knew no shared heads."""
    real = inspect.signature(torch_varlen.varlen_attn)

    def varlen_attn(*arguments: Any, **options: Any) -> torch.Tensor:
        bound = real.bind(*arguments, **options).arguments
        query, key = bound["query"], bound["key"]
        assert torch.equal(bound["cu_seq_q"], bound["cu_seq_k"])
        assert (bound["max_q"], bound["max_k"], bound["window_size"]) == (9, 9, (-1, 0))
        assert key.shape[1] == (2 if shares_heads else 4)
        assert ("enable_gqa" in options) == shares_heads
        starts = bound["cu_seq_q"].tolist()
        return one_by_one(query, key, bound["value"], starts, bound["scale"])

    def old(
        query: Any, key: Any, value: Any, cu_seq_q: Any, cu_seq_k: Any, max_q: int, max_k: int,
        *, return_aux: Any = None, scale: Any = None, window_size: Any = (-1, -1),
    ) -> torch.Tensor:  # fmt: skip
        return varlen_attn(
            query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, scale=scale,
            window_size=window_size,
        )  # fmt: skip

    varlen_attn.__signature__ = real  # type: ignore[attr-defined]
    monkeypatch.setattr(torch_varlen, "varlen_attn", varlen_attn if shares_heads else old)
    executions._varlen_options.cache_clear()
    arguments = drawn([4, 9, 3])
    try:
        found = executions.varlen(*arguments, 0.3)
    finally:
        executions._varlen_options.cache_clear()
    assert torch.allclose(found, executions.sdpa(*arguments, 0.3))


def test_auto_on_a_cpu_is_sdpa() -> None:
    assert executions.choose("auto", CPU, torch.bfloat16, 128, 0.0) == "sdpa"


GPU = torch.device("cuda")


@pytest.mark.parametrize(
    ("kind", "device", "dtype", "head", "dropout", "said"),
    [
        ("flash", CPU, torch.bfloat16, 128, 0.0, "flash needs an NVIDIA GPU, and this run is on"),
        ("varlen", CPU, torch.bfloat16, 128, 0.0, "varlen needs an NVIDIA GPU, and this run is on"),
        ("varlen", GPU, torch.float32, 128, 0.0, "in 16 bits, and model.dtype is float32"),
        ("varlen", GPU, torch.bfloat16, 12, 0.0, "heads of a multiple of 8 and at most 256"),
        ("varlen", GPU, torch.bfloat16, 512, 0.0, "heads of a multiple of 8 and at most 256"),
        ("varlen", GPU, torch.bfloat16, 128, 0.1, "attention_dropout is not 0"),
    ],
)
def test_what_cannot_run_says_why(
    kind: str, device: torch.device, dtype: torch.dtype, head: int, dropout: float, said: str
) -> None:
    with pytest.raises(ConfigError, match=rf"attention.kind {kind} .*") as error:
        executions.choose(kind, device, dtype, head, dropout)
    assert said in str(error.value)


def test_a_flash_attn_that_cannot_be_imported_is_as_good_as_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "flash_attn", None)
    executions._importable.cache_clear()
    with pytest.raises(ConfigError, match="needs the package flash-attn"):
        executions.choose("flash", GPU, torch.bfloat16, 128, 0.0)
    executions._importable.cache_clear()
