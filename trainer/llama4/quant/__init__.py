"""Frozen weights in 4 or 8 bits, de-quantised a few matrices at a time as they are used."""

from trainer.llama4.quant.experts import QuantizedExperts
from trainer.llama4.quant.formats import Format, format_of
from trainer.llama4.quant.grouped import quantized_grouped_mm
from trainer.llama4.quant.linear import QuantizedLinear
from trainer.llama4.quant.load import load_quantized, random_quantized
from trainer.llama4.quant.stack import QuantizedStack
from trainer.llama4.quant.swap import quantize_model_, quantized_values, stacks

__all__ = [
    "Format",
    "QuantizedExperts",
    "QuantizedLinear",
    "QuantizedStack",
    "format_of",
    "load_quantized",
    "quantize_model_",
    "quantized_grouped_mm",
    "quantized_values",
    "random_quantized",
    "stacks",
]
