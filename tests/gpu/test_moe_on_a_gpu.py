"""Grouped products and the sparse block on a GPU, against plain products and Transformers' own
block. Skipped where there is none."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from tests.unit.trainer.llama4_helpers import distance, gradients, moe_pair, tokens_for
from trainer.llama4.grouped import grouped_mm
from trainer.llama4.lora import GroupedLowRank

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU here")
GPU = torch.device("cuda")
E, N, K, M = 6, 256, 64, 96
GROUPS = {
    "uneven": [3, 40, 41, 128, 200, N],
    "some empty": [0, 64, 64, 64, 199, N],
    "the last ones empty": [100, N, N, N, N, N],
    "all on one": [0, 0, 0, N, N, N],
}
ROUNDING = 2e-2
"""bfloat16 has 8 bits of mantissa; of several roundings, relative to the largest value."""


def ends_of(groups: str) -> torch.Tensor:
    return torch.tensor(GROUPS[groups], dtype=torch.int32, device=GPU)


def drawn(*shape: int) -> torch.Tensor:
    values = torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))
    return values.to(GPU, torch.bfloat16)


def one_by_one(x: torch.Tensor, w: torch.Tensor, groups: str) -> torch.Tensor:
    """In float64, a group at a time."""
    rows = pairwise([0, *GROUPS[groups]])
    parts = [x[a:b].double() @ each.double() for (a, b), each in zip(rows, w, strict=True)]
    return torch.cat(parts)


@pytest.mark.parametrize("groups", GROUPS)
@pytest.mark.parametrize(("inner", "outer"), [(K, M), (K, 4), (4, M), (K, 13)])
def test_products_and_gradients_are_those_of_each_group_alone(
    groups: str, inner: int, outer: int
) -> None:
    x, w, dy = drawn(N, inner), drawn(E, inner, outer), drawn(N, outer)
    found_leaves = [x.clone().requires_grad_(), w.clone().requires_grad_()]
    found = grouped_mm(*found_leaves, ends_of(groups))
    found.backward(dy)
    leaves = [x.double().requires_grad_(), w.double().requires_grad_()]
    expected = one_by_one(*leaves, groups)
    expected.backward(dy.double())
    assert distance(found, expected) < ROUNDING
    for ours, theirs in zip(found_leaves, leaves, strict=True):
        assert ours.grad is not None
        assert theirs.grad is not None
        assert distance(ours.grad, theirs.grad) < ROUNDING


@pytest.mark.parametrize("groups", GROUPS)
def test_an_empty_group_has_a_gradient_of_exactly_zero(groups: str) -> None:
    # Memory that is not zero, for a kernel that writes nothing to find.
    for _ in range(4):
        torch.full((E, K, M), torch.nan, dtype=torch.bfloat16, device=GPU)
    w = drawn(E, K, M).requires_grad_()
    grouped_mm(drawn(N, K), w, ends_of(groups)).sum().backward()
    assert w.grad is not None
    for (start, end), grad in zip(pairwise([0, *GROUPS[groups]]), w.grad, strict=True):
        assert bool(grad.any()) == (end > start)
        assert bool(grad.isfinite().all())


@pytest.mark.parametrize("rank", [4, 16])
@pytest.mark.parametrize("groups", GROUPS)
def test_adapters_of_any_rank(groups: str, rank: int) -> None:
    low = GroupedLowRank(E, K, M, rank, 2.0, 0.0)
    torch.nn.init.normal_(low.lora_B)
    low.to(GPU, torch.bfloat16)
    x = drawn(N, K)
    inner = one_by_one(x, low.lora_A, groups) * 2.0
    assert distance(low(x, ends_of(groups)), one_by_one(inner, low.lora_B, groups)) < ROUNDING


def test_nothing_waits_for_the_gpu() -> None:
    if torch.cuda.get_device_capability() < (9, 0):
        pytest.skip("torch's grouped product waits for the ends where it has no kernel")
    stock, sparse = moe_pair(16, 1, torch.bfloat16, hidden=64, intermediate=48)
    sparse.to(GPU)
    x = tokens_for(stock, [3] * 100 + [5] * 28, torch.bfloat16).to(GPU).requires_grad_()
    sparse(x)[0].sum().backward()  # what is compiled once may wait
    torch.cuda.set_sync_debug_mode("error")
    try:
        sparse(x)[0].sum().backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("experts", [1, 16, 64])
@pytest.mark.parametrize("spread", [True, False])
def test_the_block_is_that_of_transformers(experts: int, spread: bool) -> None:
    stock, sparse = (
        block.to(GPU) for block in moe_pair(experts, 1, torch.bfloat16, 64, intermediate=48)
    )
    choices = [token % experts if spread else 0 for token in range(128)]
    x = tokens_for(stock.cpu(), choices, torch.bfloat16).to(GPU)
    stock.to(GPU)
    both = []
    for block in (stock, sparse):
        leaf = x.clone().requires_grad_()
        out = block(leaf)[0]
        out.backward(drawn(*out.shape))
        both.append((out, leaf.grad))
    for theirs, ours in zip(*both, strict=True):
        assert theirs is not None
        assert ours is not None
        assert distance(ours, theirs) < 2 * ROUNDING
    theirs_by_name, ours_by_name = gradients(stock), gradients(sparse)
    for name, theirs in theirs_by_name.items():
        assert distance(ours_by_name[name], theirs) < 2 * ROUNDING, name
