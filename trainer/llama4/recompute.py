"""Activation checkpointing: what of a layer is kept for the backward pass, and what is computed
again there.

full keeps a layer's input. selective also keeps what is dear to compute and small to hold: the
outputs of attention and of the experts' grouped products.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import create_selective_checkpoint_contexts
from transformers import PreTrainedModel

ATTENTION = frozenset(
    {
        "aten::_scaled_dot_product_flash_attention",
        "aten::_scaled_dot_product_flash_attention_for_cpu",
        "aten::_scaled_dot_product_efficient_attention",
        "aten::_scaled_dot_product_cudnn_attention",
        "torch_attn::_varlen_attn",
        "flash_attn::_flash_attn_forward",
        "flash_attn::_flash_attn_varlen_forward",
    }
)
"""Names, because not every build of torch has them all, and flash-attn may not be there."""
GROUPED = frozenset({"aten::_grouped_mm", "l4cockpit::grouped_mm"})
"""Products of x [N, K] with w [E, K, M]."""
QUANTIZED = "l4cockpit::quantized_grouped_mm"


def recompute(model: PreTrainedModel, kind: Literal["full", "selective"]) -> None:
    """Have the model's layers compute again in the backward pass."""
    options: dict[str, Any] = {"use_reentrant": False}
    if kind == "selective":
        options["context_fn"] = keep_what_is_dear
    # Older Transformers know this under another name only.
    enable = getattr(model, "activation_checkpointing_enable", model.gradient_checkpointing_enable)
    enable(options)
    # It has the embeddings require a gradient, which only reentrant checkpointing needs; the first
    # layer would compute one that nobody uses.
    model.disable_input_require_grads()


def keep_what_is_dear() -> tuple[TorchDispatchMode, TorchDispatchMode]:
    """The contexts of one layer: of its forward pass, and of its repetition."""
    keep, give_back = create_selective_checkpoint_contexts(lambda *_, **__: True)
    return _DearOnly(keep), _DearOnly(give_back)


class _DearOnly(TorchDispatchMode):
    """Shows one of torch's contexts the dear operators and no others. It wants the repetition to
    have exactly the operators of the forward pass, and under ZeRO-3 those that gather weights
    come whenever a weight is not there."""

    def __init__(self, context: TorchDispatchMode) -> None:
        super().__init__()
        self._context = context

    def __torch_dispatch__(
        self,
        operator: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if is_dear(_name(operator), args):
            return self._context.__torch_dispatch__(operator, types, args, kwargs)
        return operator(*args, **(kwargs or {}))


@cache
def _name(operator: torch._ops.OpOverload) -> str:
    name: str = operator.name()
    return name.partition(".")[0]


def is_dear(name: str, arguments: tuple[Any, ...]) -> bool:
    """Whether the result of an operator is worth its memory."""
    if name in GROUPED:
        # Not the second product of an adapter: as large as the frozen one, and cheap.
        inner, outer = arguments[1].shape[1:]
        return bool(8 * inner >= outer)
    return name in ATTENTION or name == QUANTIZED
