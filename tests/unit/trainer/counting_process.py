"""One of two ranks that route tokens and count them. Arguments: file to meet at, rank."""

from __future__ import annotations

import sys

import msgspec
import torch
import torch.distributed as dist
from routing_helpers import recounted, tiny_model

from trainer.contract.messages import Experts
from trainer.llama4.counting import RoutingCounter
from trainer.telemetry import experts as telemetry


def main() -> None:
    rank = int(sys.argv[2])
    dist.init_process_group("gloo", init_method=f"file://{sys.argv[1]}", rank=rank, world_size=2)
    telemetry.APART = 0.0
    torch.set_num_threads(1)
    model = tiny_model(16, 1, recompute=False)
    counter = RoutingCounter(model, torch.device("cpu"))
    load = telemetry.ExpertLoad(counter, tokens_per_step=20, every=5)
    recount = torch.zeros(2, 16, dtype=torch.int64)
    messages, chance = [], torch.Generator().manual_seed(rank)
    for step in range(1, 13):
        tokens = torch.randint(64, (1, 10), generator=chance)
        with torch.no_grad(), counter.counting():
            model(input_ids=tokens)
        recount += torch.tensor(recounted(model, tokens))
        messages += load.add_step(step)
    messages += load.drain(12)
    kept = [message for message in messages if isinstance(message, Experts)]
    answer = {"messages": kept, "recount": recount.tolist()}
    sys.stdout.buffer.write(msgspec.json.encode(answer))
    sys.stdout.buffer.flush()
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
