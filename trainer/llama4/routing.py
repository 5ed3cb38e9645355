"""Which experts the routers chose, counted where they choose.

Shapes: T tokens, E experts, K experts per token, L layers with experts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from transformers.models.llama4.modeling_llama4 import Llama4Router


def routers(model: torch.nn.Module) -> list[tuple[int, Llama4Router]]:
    """Decoder layer number and router of every layer with experts, in order."""
    found = []
    for name, module in model.named_modules():
        if isinstance(module, Llama4Router):
            layer = int(name.split(".layers.")[1].split(".")[0])
            found.append((layer, module))
    return sorted(found, key=lambda item: item[0])


class RoutingCounter:
    """Counts tokens per expert in one integer buffer [L, E] on the device, never waiting for it.

    Only a forward pass inside `counting()` counts, so recomputation in the backward pass does
    not count twice.
    """

    def __init__(self, model: torch.nn.Module, device: torch.device) -> None:
        found = routers(model)
        self.layers = [layer for layer, _ in found]
        experts = found[0][1].num_experts if found else 0
        self.counts_LE = torch.zeros(len(found), experts, dtype=torch.int64, device=device)
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
        """The counts [L, E] since the last call, as a tensor of their own."""
        taken = self.counts_LE.clone()
        self.counts_LE.zero_()
        return taken

    def _hook(self, row: int) -> Callable[..., None]:
        def count(router: Llama4Router, _inputs: object, outputs: tuple[torch.Tensor, ...]) -> None:
            if self._counting:
                chosen_TK = chosen(outputs[1], router.top_k)
                ones = torch.ones_like(chosen_TK, dtype=torch.int64)
                self.counts_LE[row].scatter_add_(0, chosen_TK.flatten(), ones.flatten())

        return count


def chosen(logits_TE: torch.Tensor, top_k: int) -> torch.Tensor:
    """The experts [T, K] that Llama4Router chooses: the same top-k on the same logits."""
    return torch.topk(logits_TE.detach(), top_k, dim=-1).indices
