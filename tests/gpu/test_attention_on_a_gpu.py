"""flash-attn and torch's varlen on a GPU, against SDPA in float64 on the CPU. Skipped without."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import Llama4ForCausalLM, Llama4TextConfig

from trainer.llama4.attention import PackedAttention, convert_attention, model_inputs
from trainer.llama4.executions import EXECUTIONS, choose, obstacles
from trainer.llama4.spans import attention_inputs

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU here")

GPU, CPU = torch.device("cuda"), torch.device("cpu")
DOCUMENTS = [700, 1, 129, 64, 1154]
POSITIONS = torch.cat([torch.arange(length) for length in DOCUMENTS])[None]


def skip_unless_it_runs(execution: str) -> None:
    for problem in obstacles(execution, GPU, torch.bfloat16, 128, 0.0):
        pytest.skip(f"{execution} {problem}")


def results(execution: str, inputs: list[torch.Tensor], chunk: int) -> list[torch.Tensor]:
    """The output and the gradients of query, key and value, on the CPU in float64."""
    config = Llama4TextConfig(attention_chunk_size=chunk)
    device = inputs[0].device
    spans = attention_inputs(POSITIONS, config, device)["attention_mask"]["chunked_attention"]
    leaves = [tensor.detach().requires_grad_() for tensor in inputs]
    mixed = EXECUTIONS[execution](*leaves, spans, scale=0.1)
    slope = torch.linspace(-1, 1, mixed.numel(), device=device).view_as(mixed)
    mixed.backward(slope.to(mixed.dtype))
    return [t.double().cpu() for t in (mixed.detach(), *(leaf.grad for leaf in leaves))]


def error(found: torch.Tensor, exact: torch.Tensor) -> float:
    return float((found - exact).norm() / exact.norm())


@pytest.mark.parametrize("chunk", [8192, 128])
@pytest.mark.parametrize(("heads", "groups", "size"), [(40, 8, 128), (4, 2, 32), (2, 2, 64)])
@pytest.mark.parametrize("execution", ["flash", "varlen", "sdpa"])
def test_it_is_as_near_to_the_exact_result_as_16_bits_can_be(
    execution: str, heads: int, groups: int, size: int, chunk: int
) -> None:
    skip_unless_it_runs(execution)
    torch.manual_seed(0)
    tokens = sum(DOCUMENTS)
    rounded = [torch.randn(tokens, count, size).bfloat16() * 2 for count in (heads, groups, groups)]
    exact = results("sdpa", [tensor.double() for tensor in rounded], chunk)
    found = results(execution, [tensor.to(GPU) for tensor in rounded], chunk)
    for one, other in zip(found, exact, strict=True):
        assert error(one, other) < 2e-2


def tiny(execution: str, dtype: torch.dtype, device: torch.device) -> Any:
    torch.manual_seed(1)
    config = Llama4TextConfig(
        vocab_size=64, hidden_size=128, intermediate_size=64, intermediate_size_mlp=128,
        num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=2, head_dim=32,
        num_local_experts=1, attention_chunk_size=128, max_position_embeddings=4096,
        floor_scale=50, use_cache=False, pad_token_id=0,
    )  # fmt: skip
    model = Llama4ForCausalLM(config)
    convert_attention(model, execution)
    for parameter in model.parameters():
        parameter.data = parameter.data.to(dtype)
    return model.to(device)


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("execution", ["flash", "varlen", "sdpa"])
def test_a_model_on_packed_documents_is_the_exact_one_to_rounding(
    execution: str, recompute: bool
) -> None:
    skip_unless_it_runs(execution)
    tokens = torch.randint(1, 64, POSITIONS.shape, generator=torch.Generator().manual_seed(2))
    found = []
    for model, device in (
        (tiny("sdpa", torch.float64, CPU), CPU),
        (tiny(execution, torch.bfloat16, GPU), GPU),
    ):
        if recompute:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        logits = model.train()(
            tokens.to(device), **model_inputs(model, POSITIONS, device)
        ).logits.double()
        logits.square().sum().backward()
        gradient = torch.cat([p.grad.double().flatten().cpu() for p in model.parameters()])
        found.append((logits.detach().cpu(), gradient))
    (exact, exact_gradient), (logits, gradient) = found
    assert error(logits, exact) < 3e-2
    assert error(gradient, exact_gradient) < 6e-2


@pytest.mark.parametrize("execution", ["flash", "varlen", "sdpa"])
def test_a_document_changes_nothing_in_the_others(execution: str) -> None:
    skip_unless_it_runs(execution)
    model = tiny(execution, torch.bfloat16, GPU).eval()
    assert all(type(layer.self_attn) is PackedAttention for layer in model.model.layers)
    inputs = model_inputs(model, POSITIONS, GPU)
    tokens = torch.randint(1, 64, POSITIONS.shape, device=GPU)
    changed = tokens.clone()
    changed[:, : DOCUMENTS[0]] = 1 + (tokens[:, : DOCUMENTS[0]] + 5) % 63
    with torch.no_grad():
        one, other = (model(each, **inputs).logits for each in (tokens, changed))
    assert torch.equal(one[:, DOCUMENTS[0] :], other[:, DOCUMENTS[0] :])
    assert not torch.equal(one[:, : DOCUMENTS[0]], other[:, : DOCUMENTS[0]])


def test_auto_takes_a_kernel_for_sequences_in_16_bits_and_sdpa_in_32() -> None:
    if torch.cuda.get_device_capability() >= (8, 0):
        assert choose("auto", GPU, torch.bfloat16, 128, 0.0) in {"flash", "varlen"}
    assert choose("auto", GPU, torch.float32, 128, 0.0) == "sdpa"
