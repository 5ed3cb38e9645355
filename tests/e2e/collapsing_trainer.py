"""The trainer, with a router that can be made to collapse and to recover while it trains.

`torchrun -m tests.e2e.collapsing_trainer RUN.yaml`: while a file `collapse` lies beside RUN.yaml
and holds `LAYER EXPERT`, that layer's router sends every token to that expert. Otherwise all
routers draw at even odds: what an untrained one prefers is no matter here.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from trainer.__main__ import main
from trainer.llama4 import routing

ORDER = Path(sys.argv[1]).parent / "collapse"
own = routing.SparseRouter.forward
layers: dict[int, int] = {}


def pushed(router: routing.SparseRouter, hidden_TH: torch.Tensor) -> routing.Routing:
    layer = layers.setdefault(id(router), len(layers))  # they are first called in their order
    logits_TE = own(router, hidden_TH).logits_TE
    push_TE = torch.randn_like(logits_TE) - logits_TE.detach()
    try:
        which, expert = map(int, ORDER.read_text().split())
    except (OSError, ValueError):
        which = expert = -1
    if which == layer:
        push_TE[:, expert] += 100.0
    return routing.route(logits_TE + push_TE, router.top_k)


routing.SparseRouter.forward = pushed
sys.exit(main())
