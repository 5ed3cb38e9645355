"""Quantised weights on a GPU: the values are those of the CPU. Skipped where there is none."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from transformers import Llama4ForCausalLM, Llama4TextConfig

from trainer.llama4.quant import (
    QuantizedStack,
    load_quantized,
    quantize_model_,
    quantized_grouped_mm,
    stacks,
)

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU here")
KINDS = ["nf4", "int8", "fp8"]
E, K, M = 6, 200, 136  # matrices that are no whole number of blocks
GPU = torch.device("cuda")


def drawn(*shape: int) -> torch.Tensor:
    return 0.02 * torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_the_same_bytes_are_the_same_values(kind: str, dtype: torch.dtype) -> None:
    stack = QuantizedStack.of(drawn(E, K, M), kind)
    wanted = stack.dequantize(1, 4, dtype)
    assert torch.equal(stack.to(GPU).dequantize(1, 4, dtype).cpu(), wanted)


@pytest.mark.parametrize("kind", ["int8", "fp8"])
def test_eight_bits_are_chosen_as_on_the_cpu(kind: str) -> None:
    weight = drawn(E, K, M)
    here, there = QuantizedStack.of(weight, kind), QuantizedStack.of(weight.to(GPU), kind)
    assert torch.equal(there.codes.cpu(), here.codes)
    assert torch.equal(there.scales.cpu(), here.scales)


def test_four_bits_are_chosen_as_on_the_cpu_but_for_ties() -> None:
    weight = drawn(E, K, M)
    here, there = QuantizedStack.of(weight, "nf4"), QuantizedStack.of(weight.to(GPU), "nf4")
    assert torch.equal(there.scales.cpu(), here.scales)
    assert float((there.codes.cpu() != here.codes).float().mean()) < 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_products_are_those_of_the_dequantised_weights(kind: str) -> None:
    stack = QuantizedStack.of(drawn(E, K, M).to(GPU), kind)
    weight = stack.dequantize(0, E, torch.bfloat16)
    ends = [5, 5, 90, 91, 200, 256]
    x = drawn(256, K).to(GPU, torch.bfloat16).requires_grad_()
    rows = zip(pairwise([0, *ends]), weight, strict=True)
    wanted = torch.cat([x[start:end] @ matrix for (start, end), matrix in rows])
    ends_E = torch.tensor(ends, dtype=torch.int32, device=GPU)
    found = quantized_grouped_mm(x, stack, ends_E)
    torch.testing.assert_close(found, wanted)
    dy = torch.randn_like(wanted)
    gradients = [torch.autograd.grad(y, x, dy)[0] for y in (found, wanted)]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("kind", KINDS)
def test_the_dense_stack_never_exists(kind: str) -> None:
    stack = QuantizedStack(16, 1024, 8192, kind, GPU)
    stack.fill_normal(0.02)
    dense = 2 * stack.values
    x = torch.randn(512, 1024, dtype=torch.bfloat16, device=GPU, requires_grad=True)

    def both() -> None:
        y = quantized_grouped_mm(x, stack, [32 * (expert + 1) for expert in range(16)])
        y.sum().backward()

    both()  # what is compiled or allocated once
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    both()
    assert torch.cuda.max_memory_allocated() - before < 0.75 * dense


@pytest.mark.parametrize("kind", ["int8", "fp8"])
def test_a_checkpoint_is_quantised_straight_onto_the_gpu(kind: str, tmp_path: Path) -> None:
    text = Llama4TextConfig(
        vocab_size=64, hidden_size=32, intermediate_size=48, intermediate_size_mlp=64,
        num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1, head_dim=16,
        num_local_experts=4, pad_token_id=0,
    )  # fmt: skip
    model = Llama4ForCausalLM(text)
    model.save_pretrained(tmp_path)
    quantize_model_(model, kind)
    loaded = load_quantized(tmp_path, text, kind, torch.bfloat16, GPU, "sdpa")
    for name, stack in stacks(loaded).items():
        assert stack.codes.is_cuda
        assert torch.equal(stack.codes.cpu(), stacks(model)[name].codes)
    assert all(tensor.is_cuda for tensor in (*loaded.parameters(), *loaded.buffers()))
    tokens = torch.arange(32, device=GPU)[None]
    wanted = model(tokens.cpu()).logits
    torch.testing.assert_close(loaded(tokens).logits.float().cpu(), wanted, rtol=0.1, atol=0.05)
