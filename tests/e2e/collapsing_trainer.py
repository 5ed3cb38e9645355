"""The trainer, with a router that can be made to collapse and to recover while it trains.

`torchrun -m tests.e2e.collapsing_trainer RUN.yaml`: while a file `collapse` lies beside RUN.yaml
and holds `LAYER EXPERT`, that layer's router sends every token to that expert. Otherwise all
routers draw from even odds: what an untrained one prefers is no matter here.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from transformers.models.llama4 import modeling_llama4

from trainer.__main__ import main

ORDER = Path(sys.argv[1]).parent / "collapse"
layers: dict[int, int] = {}


def pushed(
    router: modeling_llama4.Llama4Router, hidden: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    layer = layers.setdefault(id(router), len(layers))  # they are first called in their order
    logits = torch.nn.functional.linear(hidden, router.weight)
    logits = logits - logits.detach() + torch.randn_like(logits)
    try:
        which, expert = map(int, ORDER.read_text().split())
    except (OSError, ValueError):
        which = -1
    if which == layer:
        logits = logits.index_add(1, torch.tensor([expert]), torch.full_like(logits[:, :1], 100.0))
    best, chosen = torch.topk(logits, router.top_k, dim=1)
    scores = torch.full_like(logits, float("-inf")).scatter_(1, chosen, best)
    return torch.sigmoid(scores.float()).to(scores.dtype), logits


modeling_llama4.Llama4Router.forward = pushed
sys.exit(main())
