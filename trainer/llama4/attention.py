"""Llama 4's attention over documents packed end to end, by one of three executions.

`convert_attention` gives the attention layers of a stock model another `forward`; their weights,
their names and their projections (which may since have become adapted or quantised ones) stay as
they are. A converted layer follows the Spans that come in the place of its mask (see
spans.attention_inputs). Without them it does what the stock layer does: every row is one document,
as in generation.

Shapes: B rows of S tokens, T = B × S, H query heads, K key-value heads, D numbers a head.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers.models.llama4.modeling_llama4 import Llama4TextAttention, apply_rotary_emb

from trainer.llama4.executions import EXECUTIONS
from trainer.llama4.spans import Spans, attention_inputs


class PackedAttention(Llama4TextAttention):
    """Stock attention, with sequences instead of masks."""

    execution: str
    """A key of EXECUTIONS."""

    def forward(
        self,
        hidden_states: torch.Tensor,
        position_embeddings: Any,
        attention_mask: Any,
        past_key_values: Any = None,
        **kwargs: Any,
    ) -> tuple[Any, ...]:
        """As in Transformers: hidden_states [B, S, hidden], position_embeddings the rotations as
        complex numbers [B, S, D / 2]."""
        if not isinstance(attention_mask, Spans):
            return super().forward(
                hidden_states, position_embeddings, attention_mask, past_key_values, **kwargs
            )
        spans, shape = attention_mask, hidden_states.shape[:-1]
        query = self.q_proj(hidden_states).view(*shape, -1, self.head_dim)
        key = self.k_proj(hidden_states).view(*shape, -1, self.head_dim)
        value = self.v_proj(hidden_states).view(*shape, -1, self.head_dim)
        if self.use_rope:
            query, key = apply_rotary_emb(query, key, position_embeddings.to(query.device))
            if hasattr(self, "qk_norm"):
                query, key = self.qk_norm(query), self.qk_norm(key)
        elif self.attn_temperature_tuning:
            query = (query * self._temperature(spans.positions_BS)).to(query.dtype)
        mixed_THD = EXECUTIONS[self.execution](
            query.flatten(0, 1),
            key.flatten(0, 1),
            value.flatten(0, 1),
            spans,
            scale=self.scaling,
            dropout=self.attention_dropout if self.training else 0.0,
        )
        return self.o_proj(mixed_THD.reshape(*shape, -1)), None

    def _temperature(self, positions_BS: torch.Tensor) -> torch.Tensor:
        """Factors of the queries, [B, S, 1, 1]: far into a document attention is sharpened
        (arXiv 2501.19399). Where a document lies in its row changes nothing."""
        windows = torch.floor((positions_BS.float() + 1.0) / self.floor_scale)
        return (torch.log1p(windows) * self.attn_scale + 1.0)[..., None, None]


def convert_attention(model: torch.nn.Module, execution: str) -> None:
    """Have the model's attention layers follow Spans, in place, by an execution that
    executions.choose has found to run. With eager they stay stock."""
    if execution == "eager":
        return
    for module in model.modules():
        if type(module) is Llama4TextAttention:
            module.__class__ = PackedAttention
            module.execution = execution  # type: ignore[assignment]


def model_inputs(
    model: torch.nn.Module, positions: torch.Tensor, device: torch.device
) -> dict[str, Any]:
    """Keyword arguments that tell a model, wrapped or not, which tokens are of one document.
    positions: [B, S] on the CPU, see spans.attention_inputs.

    A stock model gets the positions alone. From these Transformers keeps documents apart, but its
    temperature still counts from the start of the row, and so do its chunks before version 5.18.
    """
    layer = next((m for m in model.modules() if isinstance(m, PackedAttention)), None)
    if layer is None:
        return {"position_ids": positions.to(device, non_blocking=True)}
    return attention_inputs(positions, layer.config, device)
