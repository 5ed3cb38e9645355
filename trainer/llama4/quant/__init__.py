"""Frozen weights in 4 or 8 bits, de-quantised a few matrices at a time as they are used."""

from trainer.llama4.quant.formats import Format, format_of
from trainer.llama4.quant.grouped import quantized_grouped_mm
from trainer.llama4.quant.linear import QuantizedLinear
from trainer.llama4.quant.stack import QuantizedStack

__all__ = ["Format", "QuantizedLinear", "QuantizedStack", "format_of", "quantized_grouped_mm"]
