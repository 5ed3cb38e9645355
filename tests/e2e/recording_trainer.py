"""The trainer, with every decision of every router written down by another way than its own.

`torchrun -m tests.e2e.recording_trainer RUN.yaml` leaves RANK.jsonl beside RUN.yaml: for each
call of a router its layer, the expert that got each token (the one whose score is not zero), and
whether autograd was running backward, as it does when activation checkpointing computes a layer
again.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import torch
from transformers.models.llama4 import modeling_llama4

from trainer.__main__ import main

FILE = (Path(sys.argv[1]).parent / f"{os.environ['RANK']}.jsonl").open("w", buffering=1)
stock = modeling_llama4.Llama4Router.forward
layers: dict[int, int] = {}


def recording(
    router: modeling_llama4.Llama4Router, hidden: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    scores, logits = stock(router, hidden)
    layer = layers.setdefault(id(router), len(layers))  # they are first called in their order
    again = torch._C._current_graph_task_id() != -1
    experts = [expert for row in scores.tolist() for expert, score in enumerate(row) if score]
    FILE.write(json.dumps({"layer": layer, "again": again, "experts": experts}) + "\n")
    return scores, logits


modeling_llama4.Llama4Router.forward = recording
sys.exit(main())
