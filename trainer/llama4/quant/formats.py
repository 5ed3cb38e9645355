"""How blocks of weights become bytes: NF4, int8 and FP8.

All three work on blocks of consecutive values with one float32 scale each:

    int8    scale = max|w| / 127    code = round(w / scale)              value = code × scale
    fp8     scale = max|w| / 448    code = w / scale in float8_e4m3fn    value = code × scale
    nf4     scale = max|w|          code = nearest of bitsandbytes' 16   value = table[code] × scale

Values are computed in float32 and rounded once to the dtype asked for. A block of zeros has scale
0 and comes back as zeros. Shapes: G matrices, P values each (whole blocks), B blocks each.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cache
from importlib import import_module

import torch

from trainer.contract.config import ConfigError
from trainer.llama4.pointwise import chosen


class Format(ABC):
    """Turns blocks of weights into bytes and back."""

    name: str
    block: int
    """Values that share a scale."""
    bits: int
    """Per code."""

    def code_bytes(self, values: int) -> int:
        """Bytes for the codes of so many values."""
        return values * self.bits // 8

    @property
    def bytes_per_value(self) -> float:
        """Codes and scales together."""
        return self.bits / 8 + 4 / self.block

    @abstractmethod
    def encode(self, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Codes [code_bytes] as uint8 and scales [B] as float32 of values [P]."""

    @abstractmethod
    def decode(
        self, codes_GC: torch.Tensor, scales_GB: torch.Tensor, dtype: torch.dtype
    ) -> torch.Tensor:
        """The values [G, P] in dtype."""


class _Scaled(Format):
    """8-bit codes that are the value divided by the scale."""

    bits = 8
    block = 128
    largest: float
    """The code of a block's largest value."""
    dtype: torch.dtype

    def encode(self, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        blocks = values.view(-1, self.block).float()
        # By a tensor: a GPU would multiply by the reciprocal of a number, and round otherwise.
        scales = blocks.abs().amax(dim=1) / torch.full((), self.largest, device=values.device)
        # Where the largest value is too small to be divided, all of the block counts as zero.
        divisors = torch.where(scales > 0, scales, torch.inf)
        quotients = (blocks / divisors[:, None]).clamp_(-self.largest, self.largest)
        return self._code(quotients).view(torch.uint8).flatten(), scales

    def decode(
        self, codes_GC: torch.Tensor, scales_GB: torch.Tensor, dtype: torch.dtype
    ) -> torch.Tensor:
        codes_GBV = codes_GC.view(self.dtype).view(*scales_GB.shape, self.block)
        scaled = _scaled_eagerly if self._needs_eager(codes_GC) else _scaled
        return scaled(codes_GBV, scales_GB, dtype).flatten(1)

    def _code(self, quotients: torch.Tensor) -> torch.Tensor:
        return quotients.to(self.dtype)

    def _needs_eager(self, codes: torch.Tensor) -> bool:
        return False


def _scaled_eagerly(
    codes_GBV: torch.Tensor, scales_GB: torch.Tensor, dtype: torch.dtype
) -> torch.Tensor:
    # Codes are exact in bfloat16; the product is taken in float32 and rounded once.
    return codes_GBV.to(dtype).mul_(scales_GB[..., None])


def _scaled_in_one_pass(
    codes_GBV: torch.Tensor, scales_GB: torch.Tensor, dtype: torch.dtype
) -> torch.Tensor:
    """The same bits, for the compiler: it reads a byte a weight and writes the result."""
    return (codes_GBV.float() * scales_GB[..., None]).to(dtype)


_scaled = chosen(_scaled_eagerly, _scaled_in_one_pass)


class Int8(_Scaled):
    """Whole numbers from -127 to 127."""

    name = "int8"
    largest = 127.0
    dtype = torch.int8

    def _code(self, quotients: torch.Tensor) -> torch.Tensor:
        return quotients.round_().to(self.dtype)


class Fp8(_Scaled):
    """Floating point with 4 bits of exponent and 3 of mantissa."""

    name = "fp8"
    largest = 448.0
    dtype = torch.float8_e4m3fn

    def _needs_eager(self, codes: torch.Tensor) -> bool:
        # Triton reads these numbers only where the GPU has them; torch itself everywhere.
        return codes.is_cuda and torch.cuda.get_device_capability(codes.device) < (8, 9)


@cache
def format_of(name: str) -> Format:
    """The format of that name; raises ConfigError where its library is not installed."""
    if name == "nf4":
        try:
            found: Format = import_module("trainer.llama4.quant.nf4").Nf4()
        except ImportError as error:
            raise ConfigError(
                f"adapter.quant nf4 needs bitsandbytes (pip install 'l4cockpit[train]'): {error}"
            ) from None
        return found
    return {"int8": Int8, "fp8": Fp8}[name]()
