"""Weights in 4 and 8 bits: exact against references in numpy, and close to what they stand for."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from trainer.contract.config import ConfigError
from trainer.llama4.quant import QuantizedStack, format_of

KINDS = ["nf4", "int8", "fp8"]
DTYPES = [torch.float32, torch.bfloat16]
NF4_TABLE = np.array(
    [
        *(-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453),
        *(-0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0),
        *(0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224),
        *(0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0),
    ],
    dtype=np.float32,
)
"""Of the QLoRA paper, appendix E."""


def blocks(weight: torch.Tensor, size: int) -> NDArray[np.float32]:
    """The matrix row by row, filled up with zeros to whole blocks."""
    flat = weight.float().numpy().reshape(-1)
    return np.pad(flat, (0, -len(flat) % size)).reshape(-1, size)


def reference(weight: torch.Tensor, kind: str) -> torch.Tensor:
    """What the weight is after quantisation, by another way than the code's."""
    found = blocks(weight, 64 if kind == "nf4" else 128)
    peak = np.abs(found).max(axis=1, keepdims=True).astype(np.float32)
    if kind == "nf4":
        share = found * np.divide(1, peak, where=peak > 0, out=np.zeros_like(peak))
        borders = (NF4_TABLE[:-1] + NF4_TABLE[1:]) / 2
        values = NF4_TABLE[np.searchsorted(borders, share)] * peak
    elif kind == "int8":
        scale = peak / np.float32(127)
        values = np.rint(np.divide(found, scale, where=scale > 0, out=0 * found)) * scale
    else:
        scale = peak / np.float32(448)
        share = np.divide(found, scale, where=scale > 0, out=0 * found)
        values = nearest_e4m3(share) * scale
    return torch.from_numpy(values.reshape(-1)[: weight.numel()]).view(weight.shape)


def nearest_e4m3(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """To the nearest number with 3 bits of mantissa and exponents from -6 to 8, ties to even."""
    exponent = np.floor(np.log2(np.maximum(np.abs(values), 2.0**-6)))
    unit = 2.0 ** (exponent - 3)
    return (np.rint(values / unit) * unit).astype(np.float32)


def stored(weight: torch.Tensor, kind: str, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return QuantizedStack.of(weight[None], kind).dequantize(0, 1, dtype)[0]


def drawn(rows: int, columns: int, seed: int, scale: float = 1.0) -> torch.Tensor:
    return scale * torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))


shapes = {"rows": st.integers(1, 40), "columns": st.integers(1, 40), "seed": st.integers(0, 999)}


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=30)
@given(**shapes, scale=st.sampled_from([1e-20, 1e-3, 1.0, 1e20]))
def test_values_are_those_of_an_independent_reference_bit_by_bit(
    kind: str, rows: int, columns: int, seed: int, scale: float
) -> None:
    weight = drawn(rows, columns, seed, scale)
    assert torch.equal(stored(weight, kind), reference(weight, kind))


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=30)
@given(**shapes)
def test_in_bfloat16_they_are_the_same_values_rounded_once(
    kind: str, rows: int, columns: int, seed: int
) -> None:
    weight = drawn(rows, columns, seed)
    assert torch.equal(stored(weight, kind, torch.bfloat16), stored(weight, kind).bfloat16())


@pytest.mark.parametrize(("kind", "least", "most"), [
    ("nf4", 0.07, 0.10), ("int8", 0.004, 0.01), ("fp8", 0.02, 0.03),
])  # fmt: skip
@settings(max_examples=30)
@given(scale=st.floats(1e-6, 1e6), seed=st.integers(0, 999))
def test_the_error_on_normal_weights_is_that_of_the_format(
    kind: str, least: float, most: float, scale: float, seed: int
) -> None:
    weight = drawn(128, 96, seed, scale)
    error = (stored(weight, kind) - weight).square().mean().sqrt() / weight.square().mean().sqrt()
    assert least < error < most


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=30)
@given(at=st.integers(0, 2047), value=st.floats(1e3, 1e30), seed=st.integers(0, 99))
def test_an_outlier_is_kept_and_spoils_its_own_block_alone(
    kind: str, at: int, value: float, seed: int
) -> None:
    weight = drawn(8, 256, seed)
    spoiled = weight.clone()
    spoiled.view(-1)[at] = value
    found, clean = stored(spoiled, kind).view(-1), stored(weight, kind).view(-1)
    assert found[at] == pytest.approx(value, rel=1e-6)
    size = format_of(kind).block
    others = torch.arange(2048) // size != at // size
    assert torch.equal(found[others], clean[others])


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=30)
@given(value=st.floats(2.0**-149, 2.0**-120, width=32))
def test_the_smallest_numbers_come_back_no_larger_than_they_were(kind: str, value: float) -> None:
    weight = torch.full((1, 64), value)
    found = stored(weight, kind)
    assert bool(found.isfinite().all())
    assert float(found.abs().max()) <= value * 1.01


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_zeros_stay_zeros(kind: str, dtype: torch.dtype) -> None:
    weight = torch.zeros(3, 100)
    weight[0, 0] = 1.0
    assert torch.equal(stored(weight, kind, dtype), weight.to(dtype))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_not_finite_are_refused(kind: str, bad: float) -> None:
    weight = drawn(4, 32, 0)
    weight[2, 3] = bad
    with pytest.raises(ValueError, match="not finite"):
        stored(weight, kind)


@pytest.mark.parametrize(
    ("kind", "bytes_per_value"), [("nf4", 0.5625), ("int8", 1.03125), ("fp8", 1.03125)]
)
def test_the_memory_is_what_the_format_says(kind: str, bytes_per_value: float) -> None:
    stack = QuantizedStack(4, 64, 128, kind)
    assert stack.nbytes == bytes_per_value * stack.values
    assert format_of(kind).bytes_per_value == bytes_per_value


def test_nf4_without_bitsandbytes_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes.functional", None)
    monkeypatch.delitem(sys.modules, "trainer.llama4.quant.nf4", raising=False)
    format_of.cache_clear()
    with pytest.raises(ConfigError, match="needs bitsandbytes"):
        format_of("nf4")
