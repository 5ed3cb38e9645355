"""4-bit NormalFloat by bitsandbytes, on CPU and GPU."""

from __future__ import annotations

import torch
from bitsandbytes.functional import QuantState, dequantize_4bit, quantize_4bit

from trainer.llama4.quant.formats import Format


class Nf4(Format):
    """Quantiles of a normal distribution (Dettmers et al., QLoRA, arXiv 2305.14314), two codes a
    byte, the first one high."""

    name = "nf4"
    bits = 4
    block = 64

    def encode(self, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """See `Format`."""
        codes, state = quantize_4bit(values, blocksize=self.block, quant_type=self.name)
        return codes.flatten(), state.absmax

    def decode(
        self, codes_GC: torch.Tensor, scales_GB: torch.Tensor, dtype: torch.dtype
    ) -> torch.Tensor:
        """See `Format`."""
        shape = torch.Size((len(codes_GC), scales_GB.shape[1] * self.block))
        state = QuantState(
            scales_GB.flatten(),
            shape=shape,
            dtype=torch.float32 if dtype == torch.float64 else dtype,
            blocksize=self.block,
            quant_type=self.name,
        )
        # A column: bitsandbytes takes a row for a transposed matrix.
        values: torch.Tensor = dequantize_4bit(codes_GC.reshape(-1, 1), state)
        return values.view(shape).to(dtype)
