"""The loss over a vocabulary of 202,048 words, never with logits of all tokens at once.

The last product and the cross entropy are taken together, some rows at a time, and the gradients
with them, in the forward pass: what is left of a chunk is its part of them. Tokens without a label
are left out before the product. See docs/decisions/vocabulary-loss.md.

Shapes: B sequences, S tokens of each, T = B × S, P predicted tokens of these, H hidden size,
V vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torch.utils._triton import has_triton
from transformers import Llama4ForCausalLM, PreTrainedModel
from transformers.modeling_outputs import MoeCausalLMOutputWithPast
from transformers.utils import can_return_tuple

from trainer.llama4.grouped import product_dtype

IGNORED = -100
"""The label of a token on which no loss is taken."""
CHUNK_BYTES = {"cuda": 512 * 2**20, "cpu": 128 * 2**20}
"""Of the logits that exist at once: on a GPU 1,280 tokens of Llama 4's vocabulary in bfloat16.
Their gradients take as much again, for as long."""


def install(model: PreTrainedModel) -> None:
    """Have a stock model, in place, compute its loss by chunks. Weights and their names stay."""
    assert isinstance(model, Llama4ForCausalLM)
    model.lm_head = VocabularyHead(model.lm_head)
    # As torch's fully_shard does: a forward of our own, bound to no copy of the model.
    model.__class__ = Llama4WithVocabularyLoss


class Llama4WithVocabularyLoss(Llama4ForCausalLM):
    """Llama 4 whose loss comes from its head. Without labels it is the stock model."""

    @can_return_tuple  # type: ignore[untyped-decorator]
    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        num_items_in_batch: torch.Tensor | int | None = None,
        **inputs: Any,
    ) -> MoeCausalLMOutputWithPast:
        """`loss` is the sum over the predicted tokens of labels [B, S], which are shifted here,
        divided by num_items_in_batch, or without it by their number. There are no logits."""
        if labels is None:
            return super().forward(input_ids=input_ids, **inputs)  # type: ignore[no-any-return]
        # First, because finding out how many there are waits for the device.
        positions_P, targets_P = predicted(labels)
        outputs = self.model(input_ids=input_ids, **inputs)
        # A call of the module, so that an engine that shards its weight can gather it.
        total = self.lm_head(outputs.last_hidden_state, positions_P, targets_P)
        count = num_items_in_batch
        return MoeCausalLMOutputWithPast(
            loss=total / (max(1, len(targets_P)) if count is None else count),
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
            router_logits=getattr(outputs, "router_logits", None),  # older Transformers have none
        )


def predicted(labels_BS: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Which of the T tokens predict one with a label, and that label: two tensors [P]."""
    targets_T = nn.functional.pad(labels_BS, (0, 1), value=IGNORED)[:, 1:].flatten()
    positions_P = (targets_T != IGNORED).nonzero().squeeze(-1)
    return positions_P, targets_T[positions_P]


class VocabularyHead(nn.Module):
    """`lm_head`, with its weight [V, H] under the same name. Also takes the loss."""

    def __init__(self, stock: nn.Linear) -> None:
        super().__init__()
        self.weight = stock.weight
        self.rows: int | None = None  # tokens per chunk; None: as many as CHUNK_BYTES holds

    def forward(
        self,
        hidden: torch.Tensor,
        positions_P: torch.Tensor | None = None,
        targets_P: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Logits [B, S, V] of hidden [B, S, H]; or, given positions and targets, the sum of the
        losses there, float32."""
        if positions_P is None or targets_P is None:
            return nn.functional.linear(hidden, self.weight)
        hidden_PH = hidden.flatten(0, -2).index_select(0, positions_P)
        return summed_loss(hidden_PH, self.weight, targets_P, self.rows)


def summed_loss(
    hidden_PH: torch.Tensor,
    weight_VH: torch.Tensor,
    targets_P: torch.Tensor,
    rows: int | None = None,
) -> torch.Tensor:
    """The sum of the cross entropies of `hidden @ weight.T`, in float32 or better, `rows` tokens
    at a time. The weight's gradient is summed over the chunks in its own dtype."""
    rows = rows or chunk_rows(weight_VH)
    gradients = torch.is_grad_enabled()
    return _SummedLoss.apply(  # type: ignore[no-any-return]
        hidden_PH, weight_VH, targets_P, rows, gradients
    )


def chunk_rows(weight_VH: torch.Tensor) -> int:
    """Tokens per chunk: what fits, in whole tiles of the matrix units where it can be."""
    allowed = CHUNK_BYTES.get(weight_VH.device.type, CHUNK_BYTES["cpu"])
    rows = allowed // (weight_VH.shape[0] * weight_VH.element_size())
    return max(1, rows - rows % 128 if rows > 128 else rows)


class _SummedLoss(torch.autograd.Function):
    """See `summed_loss`. Backward has the gradients already and only scales them, so the logits
    are computed once, and the weight is not needed again."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden_PH: torch.Tensor,
        weight_VH: torch.Tensor,
        targets_P: torch.Tensor,
        rows: int,
        gradients: bool,
    ) -> torch.Tensor:
        for_hidden, for_weight = (gradients and needed for needed in ctx.needs_input_grad[:2])
        dtype, stored = product_dtype(hidden_PH), weight_VH.dtype
        weight_VH = weight_VH.to(dtype)
        grad_PH = torch.empty_like(hidden_PH) if for_hidden else None
        grad_VH = torch.zeros_like(weight_VH) if for_weight else None
        total = hidden_PH.new_zeros((), dtype=_exact(hidden_PH.dtype))
        cross_entropy = by_deepspeed if hidden_PH.is_cuda and has_triton() else by_torch
        for start in range(0, len(targets_P), rows):
            part = slice(start, start + rows)
            hidden = hidden_PH[part].to(dtype)
            logits = nn.functional.linear(hidden, weight_VH)
            loss, grad = cross_entropy(logits, targets_P[part], for_hidden or for_weight)
            del logits
            total += loss
            if grad is not None and grad_PH is not None:
                grad_PH[part] = grad @ weight_VH
            if grad is not None and grad_VH is not None:
                grad_VH.addmm_(grad.T, hidden)
            del grad  # before the next chunk's
        ctx.gradients = grad_PH, None if grad_VH is None else grad_VH.to(stored)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, scale: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        if ctx.gradients is None:
            raise RuntimeError("the vocabulary loss can be differentiated once only")
        gradients, ctx.gradients = ctx.gradients, None
        grad_PH, grad_VH = (None if grad is None else grad.mul_(scale) for grad in gradients)
        return grad_PH, grad_VH, None, None, None


def by_torch(
    logits: torch.Tensor, targets: torch.Tensor, gradient: bool
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """The sum of a chunk's losses, and its gradient by the logits."""
    log_probabilities = nn.functional.log_softmax(logits, -1, dtype=_exact(logits.dtype))
    loss = -log_probabilities.gather(1, targets[:, None]).sum()
    if not gradient:
        return loss, None
    grad = log_probabilities.exp_()
    grad[torch.arange(len(targets), device=grad.device), targets] -= 1
    return loss, grad.to(logits.dtype)


def by_deepspeed(
    logits: torch.Tensor, targets: torch.Tensor, gradient: bool
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """The same by DeepSpeed: on CUDA two Triton kernels, without logits in float32."""
    from deepspeed.runtime.chunked_cross_entropy import chunked_cross_entropy  # noqa: PLC0415

    logits.requires_grad_(gradient)
    with torch.set_grad_enabled(gradient):
        loss = chunked_cross_entropy(logits, targets, reduction="sum")
    grad = torch.autograd.grad(loss, logits)[0] if gradient else None
    return loss.detach(), grad


def _exact(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)
