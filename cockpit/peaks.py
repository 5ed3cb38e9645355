"""What GPUs can multiply at most: dense bf16 matrix products with fp32 sums, in FLOP/s, from the
makers' data sheets (where these give the figure with sparsity, half of it)."""

from __future__ import annotations

_TERA: tuple[tuple[str, float], ...] = (
    # The first that occurs in the name counts: variants before what they are variants of.
    ("GB200", 2500), ("B200", 2250), ("B100", 1750), ("GH200", 989), ("H200 NVL", 835),
    ("H200", 989), ("H100 NVL", 835), ("H100 PCIe", 756), ("H100", 989), ("H800 PCIe", 756),
    ("H800", 989), ("H20", 148), ("A100", 312), ("A800", 312), ("A40", 150), ("A30", 165),
    ("RTX A6000", 155), ("RTX 6000 Ada", 364), ("L40S", 362), ("L40", 181), ("L4", 121),
    ("A10G", 70), ("A10", 125), ("RTX 4090", 165), ("RTX 3090", 71),
)  # fmt: skip


def bf16_peak(name: str) -> float | None:
    """FLOP/s of a GPU by its NVML name, such as `NVIDIA H100 80GB HBM3`; None if unknown."""
    words = f" {name.replace('-', ' ')} "
    return next((tera * 1e12 for key, tera in _TERA if f" {key} " in words), None)
