"""Some training steps of several configurations, each with an engine of its own, on two ranks.

`torchrun -m tests.e2e.engine_steps CASES.json` reads {name: settings on top of the preset tiny}
and leaves RANK.json beside it: for each name the ranks' losses, the gradient norms, and the weights
and routers' biases after the last step. In the first step only rank 0 has tokens to predict.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ["DS_ACCELERATOR"] = "cpu"

import deepspeed
import torch

from tests.e2e.desk import SMALL
from trainer.contract import presets
from trainer.engines.deepspeed import DeepSpeedEngine, join
from trainer.llama4 import adapters, build
from trainer.llama4.balance import Balance
from trainer.place import Place

STEPS, VOCABULARY, LENGTH = 3, 512, 48


def run(settings: list[str], place: Place, folder: Path) -> dict[str, Any]:
    """One configuration. With the setting `resumed` a second engine goes on after the first step,
    from what the first one saved."""
    resumed, settings = "resumed" in settings, [s for s in settings if s != "resumed"]
    config = presets.resolve("tiny", [*SMALL, *settings])
    text = build.text_config(config, VOCABULARY)

    def make_model() -> torch.nn.Module:
        model = build.build(config, text)
        if config.adapter.kind != "none":
            adapters.add(model, config.adapter, torch.float32, config.train.seed)
        return model

    def make_engine() -> DeepSpeedEngine:
        return DeepSpeedEngine(config, place, torch.device("cpu"), folder, make_model)

    def start() -> tuple[DeepSpeedEngine, Balance]:
        engine = make_engine()
        return engine, Balance(engine.module, config.moe, place.world)

    (engine, balance), losses, norms = start(), [], []
    for step in range(STEPS):
        if resumed and step == 1:
            engine.save(folder)
            torch.distributed.barrier()
            engine, balance = start()
            engine.load(folder)
        chance = torch.Generator().manual_seed(10 * step + place.rank)
        tokens = torch.randint(VOCABULARY, (1, LENGTH), generator=chance)
        silent = (place.rank == 1 and step == 0) | (torch.rand(1, LENGTH, generator=chance) < 0.3)
        labels = torch.where(silent, -100, tokens)
        with balance.collecting():
            loss = engine.forward(tokens, labels, 60, torch.arange(LENGTH)[None])
        extra = balance.loss()
        engine.backward(loss if extra is None else loss + extra, last=True)
        norms.append(engine.step(config.train.lr))
        balance.end_step()
        losses.append(loss.item())
    found = {"losses": losses, "norms": norms, "weights": weights(engine.module)}
    biases = [b.tolist() for name, b in engine.module.named_buffers() if "bias_steps" in name]
    return found | {"biases": biases}


def weights(model: torch.nn.Module) -> dict[str, list[float]]:
    """A sample of every parameter that trains."""
    found = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            with deepspeed.zero.GatheredParameters([parameter]):
                found[name] = parameter.detach().flatten()[:: 1 + parameter.numel() // 50].tolist()
    return found


def main() -> None:
    """Run all cases."""
    file = Path(sys.argv[1])
    rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    torch.set_num_threads(1)
    join(torch.device("cpu"))
    place = Place(rank=rank, world=world, local_rank=rank, attempt=1, host="localhost")
    results = {}
    for number, (name, settings) in enumerate(json.loads(file.read_text()).items()):
        folder = file.parent / str(number)
        folder.mkdir(exist_ok=True)
        results[name] = run(settings, place, folder)
    (file.parent / f"{rank}.json").write_text(json.dumps(results))


if __name__ == "__main__":
    main()
