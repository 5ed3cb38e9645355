"""Which experts a token goes to, and in which order the experts take the tokens.

Shapes: T tokens, H hidden width, E experts, K experts per token, N = T·K routed rows.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from transformers.models.llama4.modeling_llama4 import Llama4Router

from trainer.llama4.linear import linear
from trainer.llama4.lora import LowRank


class Routing(NamedTuple):
    """The decision of one router. Like the output of Transformers' Llama4Router it begins with
    scores and logits, so whoever captures those still can.

    scores_TK: sigmoid of the chosen logits; logits_TE; experts_TK: the chosen experts, best
    first; order_N: routed rows (token · K + rank of the choice) sorted by expert; place_N: where
    each routed row went, the inverse of order; ends_E: where each expert's rows end, int32.
    """

    scores_TK: torch.Tensor
    logits_TE: torch.Tensor
    experts_TK: torch.Tensor
    order_N: torch.Tensor
    place_N: torch.Tensor
    ends_E: torch.Tensor

    @property
    def counts(self) -> torch.Tensor:
        """Rows of each expert [E]."""
        return self.ends_E.diff(prepend=self.ends_E.new_zeros(1))


def route(logits_TE: torch.Tensor, top_k: int, bias_E: torch.Tensor | None = None) -> Routing:
    """The top-k of the logits, weighed by their sigmoid (computed in float32 at least, as
    Transformers does). A bias takes part in the choice alone, added to the sigmoids, so that the
    gradient does not know it (loss-free balancing, arXiv 2408.15664)."""
    if bias_E is None:
        chosen_TK, experts_TK = torch.topk(logits_TE, top_k, dim=-1)
    else:
        biased_TE = logits_TE.detach().float().sigmoid() + bias_E
        experts_TK = torch.topk(biased_TE, top_k, dim=-1).indices
        chosen_TK = logits_TE.gather(1, experts_TK)
    wide = torch.promote_types(logits_TE.dtype, torch.float32)
    scores_TK = torch.sigmoid(chosen_TK.to(wide)).to(logits_TE.dtype)
    sorted_N, order_N = torch.sort(experts_TK.flatten(), stable=True)
    place_N = torch.empty_like(order_N)
    place_N[order_N] = torch.arange(len(order_N), device=order_N.device)
    numbers_E = torch.arange(logits_TE.shape[1], device=logits_TE.device)
    ends_E = torch.searchsorted(sorted_N, numbers_E, right=True, out_int32=True)
    return Routing(scores_TK, logits_TE, experts_TK, order_N, place_N, ends_E)


class SparseRouter(Llama4Router):
    """Transformers' router, on its own weight, that says where tokens go instead of a score for
    every expert; with or without an adapter on it, and a bias for the choice."""

    adapter: LowRank | None
    bias_rate: float
    bias_steps_E: torch.Tensor

    @classmethod
    def take_over(cls, stock: Llama4Router) -> SparseRouter:
        """The same module, with its weight and hooks, from now on of this class."""
        stock.__class__ = cls
        assert isinstance(stock, cls)
        stock.adapter, stock.bias_rate = None, 0.0
        return stock

    def forward(self, hidden_TH: torch.Tensor) -> Routing:  # type: ignore[override]
        """The routing of tokens [T, H]."""
        # Forward as stock does, to the bit: the choice hangs on small differences.
        logits_TE = linear(hidden_TH, self.weight, stock_forward=True)
        if self.adapter is not None:
            logits_TE = logits_TE + self.adapter(hidden_TH)
        bias_E = self.bias_steps_E * self.bias_rate if self.bias_rate else None
        return route(logits_TE, self.top_k, bias_E)

    def use_bias(self, rate: float) -> None:
        """Have a bias from now on, which moves in steps of `rate`. It is kept as a number of
        steps: an engine that casts the model cannot round integers."""
        self.bias_rate = rate
        steps = torch.zeros(self.num_experts, dtype=torch.int32, device=self.weight.device)
        self.register_buffer("bias_steps_E", steps)

    def move_bias(self, up_E: torch.Tensor) -> None:
        """Move the bias of each expert by so many steps."""
        self.bias_steps_E += up_E.to(self.bias_steps_E.device)
