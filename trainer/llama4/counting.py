"""What the routers chose, counted where they choose.

Shapes: T tokens, E experts, K experts per token, L layers with experts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from transformers.models.llama4.modeling_llama4 import Llama4Router

from trainer.llama4.layers import layer_of
from trainer.llama4.routing import Routing


class Sums(NamedTuple):
    """What was counted, summed over tokens: counts_LE, the tokens of each expert; softmax_LE, the
    softmax of the logits; squares_L, the squared log-sum-exp of the logits."""

    counts_LE: torch.Tensor
    softmax_LE: torch.Tensor
    squares_L: torch.Tensor


def routers(model: torch.nn.Module) -> list[tuple[int, Llama4Router]]:
    """Decoder layer number and router of every layer with experts, in order."""
    found = []
    for name, module in model.named_modules():
        if isinstance(module, Llama4Router):
            found.append((layer_of(name), module))
    return sorted(found, key=lambda item: item[0])


class RoutingCounter:
    """Adds up in one float64 buffer [L, 2E + 1] on the device (exact for counts), never waiting
    for it.

    Only a forward pass inside `counting()` counts, so recomputation in the backward pass does
    not count twice.
    """

    def __init__(self, model: torch.nn.Module, device: torch.device) -> None:
        found = routers(model)
        self.layers = [layer for layer, _ in found]
        self.experts = found[0][1].num_experts if found else 0
        size = (len(found), 2 * self.experts + 1)
        self._sums_LX = torch.zeros(size, dtype=torch.float64, device=device)
        self._counting = False
        for row, (_, router) in enumerate(found):
            router.register_forward_hook(self._hook(row))

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count the routing decisions made inside."""
        self._counting = True
        try:
            yield
        finally:
            self._counting = False

    def take(self) -> torch.Tensor:
        """The sums [L, 2E + 1] since the last call, as a tensor of their own; see `read`."""
        taken = self._sums_LX.clone()
        self._sums_LX.zero_()
        return taken

    def read(self, sums_LX: torch.Tensor) -> Sums:
        """The parts of sums, which may be those of several ranks added up."""
        counts, softmax, squares = sums_LX.split([self.experts, self.experts, 1], dim=1)
        return Sums(counts.long(), softmax, squares[:, 0])

    def _hook(self, row: int) -> Callable[..., None]:
        def count(router: Llama4Router, _inputs: object, outputs: tuple[torch.Tensor, ...]) -> None:
            if self._counting:
                with torch.no_grad():
                    logits_TE = outputs[1].float()
                    parts = (
                        counts(outputs, router.top_k),
                        logits_TE.softmax(-1).sum(0),
                        logits_TE.logsumexp(-1).square().sum()[None],
                    )
                    self._sums_LX[row] += torch.cat([part.double() for part in parts])

        return count


def counts(outputs: tuple[torch.Tensor, ...], top_k: int) -> torch.Tensor:
    """Tokens of each expert [E], by what a router gave: ours, or that of Transformers, of which
    only the logits tell."""
    if isinstance(outputs, Routing):
        return outputs.counts
    chosen = chosen_experts(outputs[1], top_k).flatten()
    none = torch.zeros(outputs[1].shape[1], dtype=torch.int64, device=chosen.device)
    return none.scatter_add_(0, chosen, torch.ones_like(chosen))


def chosen_experts(logits_TE: torch.Tensor, top_k: int) -> torch.Tensor:
    """The experts [T, K] that Llama4Router chooses: the same top-k on the same logits."""
    return torch.topk(logits_TE.detach(), top_k, dim=-1).indices
