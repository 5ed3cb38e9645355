"""The work of a training step: floating-point operations in matrix products, a token.

Counted is what a step cannot do without: of attention what a token sees, of the experts those it
chose; backward the gradients that something needs. Not counted are products that activation
checkpointing or an attention kernel does again, and everything that is no matrix product.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from contextlib import contextmanager

from transformers import Llama4TextConfig

from trainer.contract.config import Adapter


def flops_per_token(text: Llama4TextConfig, adapter: Adapter, seq_len: int) -> float:
    """Forward and backward, in the mean over one document of seq_len tokens, each of which
    predicts the next."""
    step, with_experts = _Step(adapter), set(text.moe_layers or [])
    for layer, kind in enumerate((text.layer_types or [])[: text.num_hidden_layers]):
        _attention(step, text, seq_len, chunked=kind == "chunked_attention")
        if layer in with_experts:
            _experts(step, text)
        else:
            _mlp(step, text, text.intermediate_size_mlp)
    step.product(text.hidden_size, text.vocab_size)
    return step.flops


def keys_per_token(seq_len: int, chunk: int | None) -> float:
    """Keys that a token of a document sees in the mean: itself and all before it, in its chunk of
    the document."""
    chunk = min(chunk or seq_len, seq_len)
    whole, rest = divmod(seq_len, chunk)
    pairs = whole * chunk * (chunk + 1) + rest * (rest + 1)
    return pairs / 2 / seq_len


class _Step:
    """Adds up products in the order of the forward pass."""

    def __init__(self, adapter: Adapter) -> None:
        self.flops = 0.0
        self._trains_all = adapter.kind == "none"
        self._targets: Set[str] = set() if self._trains_all else set(adapter.targets)
        self._rank = adapter.rank
        # Whether something before has a gradient to get: with adapters not before the first.
        self._flows = self._trains_all

    def product(self, inputs: int, outputs: int, target: str = "", times: int = 1) -> None:
        """A vector with a matrix that trains, is frozen, or has an adapter if target is named."""
        weights = inputs * outputs
        self.flops += 2 * times * weights * (1 + self._flows + self._trains_all)
        if target in self._targets:
            first, second = inputs * self._rank, self._rank * outputs
            self.flops += 2 * times * (first * (2 + self._flows) + second * 3)

    def attend(self, width: int, keys: float) -> None:
        """Query with key and weight with value; in the backward pass two products for each."""
        self.flops += 2 * 2 * width * keys * (1 + 2 * self._flows)

    def trained(self, target: str) -> None:
        """From here on there is a gradient to pass on, if the target trains."""
        self._flows = self._flows or target in self._targets

    @contextmanager
    def beside(self) -> Iterator[None]:
        """A branch: what trains inside has no effect on what is counted after it."""
        before = self._flows
        yield
        self._flows = before


def _attention(step: _Step, text: Llama4TextConfig, seq_len: int, chunked: bool) -> None:
    hidden, head = text.hidden_size, text.head_dim
    queries, keys = text.num_attention_heads * head, text.num_key_value_heads * head
    for width in (queries, keys, keys):
        step.product(hidden, width, "attention")
    step.trained("attention")
    chunk = text.attention_chunk_size if chunked else None
    step.attend(queries, keys_per_token(seq_len, chunk))
    step.product(queries, hidden, "attention")


def _experts(step: _Step, text: Llama4TextConfig) -> None:
    hidden, inner, chosen = text.hidden_size, text.intermediate_size, text.num_experts_per_tok
    step.product(hidden, text.num_local_experts, "router")
    with step.beside():  # the shared expert, whose input knows no score of the router
        _mlp(step, text, inner)
    step.trained("router")
    step.product(hidden, 2 * inner, "experts", times=chosen)
    step.trained("experts")
    step.product(inner, hidden, "experts", times=chosen)
    step.trained("shared")  # its output is in the sum


def _mlp(step: _Step, text: Llama4TextConfig, inner: int) -> None:
    for _ in ("gate", "up"):
        step.product(text.hidden_size, inner, "shared")
    step.trained("shared")
    step.product(inner, text.hidden_size, "shared")
