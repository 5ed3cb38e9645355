"""Keeping the experts evenly used: two losses whose coefficients do something, and a bias.

All three are taken from the routing that is counted, over the global batch: counts of all ranks
and of a step's passes so far. Shapes: T tokens, E experts, L layers with experts.

- Auxiliary loss (Switch Transformer, arXiv 2101.03961, eq. 4): E · Σ_e f_e P_e, the mean over
  layers, where f_e is the share of the routed rows that expert e got, and P_e its mean softmax
  probability. 1 when balanced. f over the global batch: arXiv 2501.11873.
- Router z-loss (ST-MoE, arXiv 2202.08906, eq. 5): the mean squared log-sum-exp of the logits.
- Bias (loss-free balancing, arXiv 2408.15664, algorithm 1): after a step, up by a fixed amount for
  experts that got less than the mean, down for the others; no gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from transformers.models.llama4.modeling_llama4 import Llama4Router

from trainer.contract.config import Moe
from trainer.llama4.counting import counts, routers
from trainer.llama4.routing import SparseRouter


def auxiliary_loss(counts_LE: torch.Tensor, softmax_LE: torch.Tensor) -> torch.Tensor:
    """[L]: E · Σ f P, of tokens per expert and mean probabilities."""
    share_LE = counts_LE / counts_LE.sum(1, keepdim=True).clamp(min=1)
    return counts_LE.shape[1] * (share_LE * softmax_LE).sum(1)


class Balance:
    """Collects what the routers of a model did in a forward pass, and makes the loss of it.

    Attributes: coef and z_coef, the coefficients, may change between steps. All ranks call the
    same methods in the same order.
    """

    def __init__(self, model: torch.nn.Module, moe: Moe, passes: int) -> None:
        """passes: forward passes of a step on all ranks, over which the loss is a mean."""
        self.coef, self.z_coef, self._bias_rate = moe.balance_coef, moe.z_coef, moe.bias_rate
        self._passes = passes
        self._routers = [router for _, router in routers(model)]
        self._found: dict[int, tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = {}
        self._collecting = False
        self._counts_LE: torch.Tensor | None = None
        for row, router in enumerate(self._routers):
            router.register_forward_hook(self._hook(row))
            if self._bias_rate:
                assert isinstance(router, SparseRouter)
                router.use_bias(self._bias_rate)

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Collect from the forward pass inside."""
        self._found.clear()
        self._collecting = True
        try:
            yield
        finally:
            self._collecting = False

    def loss(self) -> torch.Tensor | None:
        """This pass's share of the step's balance loss, or None where all is switched off."""
        if not self._found:
            return None
        collected = [self._found[row] for row in range(len(self._routers))]
        self._found.clear()
        softmax_LE, z_L, counts_LE = map(torch.stack, zip(*collected, strict=True))
        if dist.is_initialized() and dist.get_world_size() > 1:
            dist.all_reduce(counts_LE)
        so_far = counts_LE if self._counts_LE is None else self._counts_LE + counts_LE
        self._counts_LE = so_far
        if not self._in_loss:
            return None
        aux = auxiliary_loss(so_far, softmax_LE).mean()
        return (self.coef * aux + self.z_coef * z_L.mean()) / self._passes

    def end_step(self) -> None:
        """A step was done: move the biases."""
        if self._bias_rate and self._counts_LE is not None:
            mean_L1 = self._counts_LE.double().mean(1, keepdim=True)
            up_LE = torch.sign(mean_L1 - self._counts_LE).to(torch.int32)
            for router, up_E in zip(self._routers, up_LE, strict=True):
                assert isinstance(router, SparseRouter)
                router.move_bias(up_E)
        self._counts_LE = None

    @property
    def _in_loss(self) -> bool:
        return bool(self.coef or self.z_coef)

    def _hook(self, row: int) -> Callable[..., None]:
        def collect(
            router: Llama4Router, _inputs: object, outputs: tuple[torch.Tensor, ...]
        ) -> None:
            if not torch.is_grad_enabled() or not (self._in_loss or self._bias_rate):
                return
            # Recomputation must do the same operations as the first pass, collected or not.
            logits_TE = outputs[1].float()
            softmax_E = logits_TE.softmax(-1).mean(0)
            z = logits_TE.logsumexp(-1).square().mean()
            if self._collecting:
                self._found[row] = softmax_E, z, counts(outputs, router.top_k)

        return collect
