"""A stack of frozen matrices in few bits.

Shapes: E matrices (experts) of K rows and M columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import nn

from trainer.llama4.quant.formats import Format, format_of

GROUP_BYTES = 512 * 2**20
"""The most that is de-quantised at once, unless one matrix alone is larger."""
_CALL_VALUES = 2**31 - 1
"""bitsandbytes counts values in 32 bits."""


def dequantize(
    codes_GC: torch.Tensor,
    scales_GS: torch.Tensor,
    kind: Format,
    shape_KM: Sequence[int],
    dtype: torch.dtype,
) -> torch.Tensor:
    """G matrices [K, M] from their codes and scales, both as bytes."""
    values_GP = kind.decode(codes_GC, scales_GS.view(torch.float32), dtype)
    rows, columns = shape_KM
    return values_GP[:, : rows * columns].view(-1, rows, columns)


def groups(
    matrices: int, values: int, dtype: torch.dtype, limit: int = GROUP_BYTES
) -> Iterator[tuple[int, int]]:
    """Ranges (first, last) of matrices of so many values, in order, that in dtype stay within
    limit bytes and are at most half of all, but hold one matrix at least."""
    room = min(limit // (values * dtype.itemsize), _CALL_VALUES // values, matrices // 2)
    step = max(1, room)
    for first in range(0, matrices, step):
        yield first, min(first + step, matrices)


class QuantizedStack(nn.Module):
    """E frozen matrices [K, M] in 4 or 8 bits.

    Each matrix is quantised by itself, row by row in blocks of consecutive values, the last block
    filled up with zeros. Codes and scales are held as bytes, so that no cast of the model can
    change them (`module.bfloat16()` would round float32 scales and convert FP8 codes), and
    outside the state dict: checkpoints hold what trains, and these weights come from the model
    that was loaded, quantised the same way again.
    """

    codes: torch.Tensor
    scales: torch.Tensor

    def __init__(
        self,
        experts: int,
        rows: int,
        columns: int,
        kind: str,
        device: torch.device | str | None = None,
    ) -> None:
        """All zeros until `put`. Raises ConfigError where kind's library is missing."""
        super().__init__()
        self.shape = torch.Size((experts, rows, columns))
        self.format = format_of(kind)
        blocks = -(rows * columns // -self.format.block)
        codes = self.format.code_bytes(blocks * self.format.block)
        for name, size in (("codes", codes), ("scales", 4 * blocks)):
            empty = torch.zeros(experts, size, dtype=torch.uint8, device=device)
            self.register_buffer(name, empty, persistent=False)

    @classmethod
    def of(cls, weight_EKM: torch.Tensor, kind: str) -> QuantizedStack:
        """The stack of dense matrices, on their device. Raises ValueError as `put`."""
        experts, rows, columns = weight_EKM.shape
        stack = cls(experts, rows, columns, kind, weight_EKM.device)
        for index, weight_KM in enumerate(weight_EKM):
            stack.put(index, weight_KM)
        return stack

    @torch.no_grad()
    def put(self, index: int, weight_KM: torch.Tensor) -> None:
        """Quantise one matrix into its place, on this stack's device. Raises ValueError where
        the shape is another or a value is not finite."""
        if weight_KM.shape != self.shape[1:]:
            raise ValueError(f"a matrix of {list(weight_KM.shape)} for {list(self.shape[1:])}")
        values = weight_KM.detach().to(self.codes.device).flatten()
        if not torch.stack(values.aminmax()).isfinite().all():
            raise ValueError("values that are not finite")
        filled = self.scales.shape[1] // 4 * self.format.block
        values = nn.functional.pad(values, (0, filled - len(values)))
        codes, scales = self.format.encode(values)
        self.codes[index] = codes
        self.scales[index] = scales.contiguous().view(torch.uint8)

    def fill_normal(self, std: float, generator: torch.Generator | None = None) -> None:
        """Random matrices, drawn one at a time in float32: the dense stack never exists."""
        for index in range(len(self)):
            drawn = torch.empty(self.shape[1:], device=self.codes.device)
            self.put(index, drawn.normal_(0.0, std, generator=generator))

    def dequantize(self, first: int, last: int, dtype: torch.dtype) -> torch.Tensor:
        """Matrices first to before last as [last - first, K, M], newly made."""
        codes, scales = self.codes[first:last], self.scales[first:last]
        return dequantize(codes, scales, self.format, self.shape[1:], dtype)

    @property
    def values(self) -> int:
        """How many weights these are."""
        return self.shape.numel()

    @property
    def nbytes(self) -> int:
        """Codes and scales."""
        return self.codes.nbytes + self.scales.nbytes

    def __len__(self) -> int:
        return self.shape[0]

    def extra_repr(self) -> str:
        """The shape and the kind."""
        return f"{list(self.shape)}, {self.format.name}"
