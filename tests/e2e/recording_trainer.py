"""The trainer, with every decision of every router written down by another way than its own.

`torchrun -m tests.e2e.recording_trainer RUN.yaml` leaves RANK.jsonl beside RUN.yaml: for each
call of a router its layer, the expert that each token should get (that of its highest logit), and
whether autograd was running backward, as it does when activation checkpointing computes a layer
again.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import torch

from trainer.__main__ import main
from trainer.llama4.routing import Routing, SparseRouter

FILE = (Path(sys.argv[1]).parent / f"{os.environ['RANK']}.jsonl").open("w", buffering=1)
ours = SparseRouter.forward
layers: dict[int, int] = {}


def recording(router: SparseRouter, x_TH: torch.Tensor) -> Routing:
    layer = layers.setdefault(id(router), len(layers))  # they are first called in their order
    again = torch._C._current_graph_task_id() != -1
    logits_TE = torch.nn.functional.linear(x_TH.detach(), router.weight.detach())
    experts = logits_TE.topk(1, dim=-1).indices.flatten().tolist()
    FILE.write(json.dumps({"layer": layer, "again": again, "experts": experts}) + "\n")
    return ours(router, x_TH)


SparseRouter.forward = recording  # type: ignore[method-assign]
sys.exit(main())
