"""What it costs to tell: routing counts, update norms, laps and messages, switched on and off.

One model, its experts adapted, in one process (as rank 0 of 1); steps with telemetry and steps
without take turns, and the differences of neighbours tell. As a step varies more than telemetry
costs, its own calls are timed as well, in the same run, and their sum is what to go by; on a GPU
they are launched without waiting, and only the turns tell what they cost there.

    python bench/telemetry.py                                 4 layers of hidden 512, 16 experts
    python bench/telemetry.py --device cuda --dtype bfloat16 --tokens 8192
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from statistics import mean, median, stdev

import torch
import torch.distributed as dist
from measuring import named, wait

from trainer.contract import messages
from trainer.contract.config import build as checked
from trainer.llama4 import adapters
from trainer.llama4.attention import model_inputs
from trainer.llama4.build import build, text_config
from trainer.llama4.counting import RoutingCounter, routers
from trainer.telemetry.experts import ExpertLoad
from trainer.telemetry.stopwatch import Stopwatch
from trainer.telemetry.updates import UpdateWatch


class Clock:
    """Sums the time of the functions that it wraps: this thread's own where that is all there is,
    so that what else the machine does is not counted."""

    def __init__(self, device: torch.device) -> None:
        self.spent = 0.0
        self._device = device
        alone = device.type == "cpu" and torch.get_num_threads() == 1
        self.now = time.thread_time if alone else time.perf_counter

    def timed(self, function: Callable[..., object]) -> Callable[..., object]:
        """The function, its time added up."""

        def run(*arguments: object, **options: object) -> object:
            started = self.now()
            try:
                return function(*arguments, **options)
            finally:
                self.spent += self.now() - started

        return run


class Run:
    """Steps of a model with or without telemetry."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.device, self._options = torch.device(options.device), options
        tiny = {
            "layers": options.layers,
            "experts": options.experts,
            "hidden": options.hidden,
            "intermediate": options.intermediate,
            "heads": options.hidden // 64,
        }
        config = checked(
            {
                "model": {"tiny": tiny, "dtype": options.dtype},
                "data": {"seq_len": options.tokens},
                "adapter": {"kind": "lora", "targets": ["attention", "experts"]},
            }
        )
        text = text_config(config, 4096)
        model = build(config, text, self.device)
        dtype = getattr(torch, options.dtype)
        adapters.add(model, config.adapter, dtype, 0)
        self.model = model.to(self.device).train()
        trained = [p for p in self.model.parameters() if p.requires_grad]
        self._optimizer = torch.optim.AdamW(trained, lr=1e-4, fused=True)
        self.clock = Clock(self.device)
        self._counter = RoutingCounter(self.model, self.device)
        for _, router in routers(self.model):
            hooks = router._forward_hooks
            for key, hook in list(hooks.items()):
                hooks[key] = self.clock.timed(hook)
        watch = UpdateWatch(self.model, 0)
        self._load = ExpertLoad(self._counter, options.tokens, options.every, watch, 100)
        self._tell = self.clock.timed(self._told)
        self.bytes, self.told = 0, 0

    def one(self, telling: bool) -> float:
        """Seconds of a step."""
        wait(self.device)
        started = self.clock.now()
        words = torch.randint(4096, (1, self._options.tokens), device=self.device)
        inputs = model_inputs(self.model, torch.arange(self._options.tokens)[None], self.device)
        watch = Stopwatch(self.device) if telling else None
        if telling:
            with self._counter.counting():
                loss = self.model(input_ids=words, labels=words, **inputs).loss
        else:
            loss = self.model(input_ids=words, labels=words, **inputs).loss
        if watch:
            watch.lap("forward")
        loss.backward()
        if watch:
            watch.lap("backward")
        self._optimizer.step()
        self._optimizer.zero_grad()
        total = float(loss)  # told or not, somebody wants it
        if watch:
            watch.lap("optimizer")
            self._tell(watch, total)
        wait(self.device)
        return self.clock.now() - started

    def _told(self, watch: Stopwatch, loss: float) -> None:
        self.told += 1
        taken, split = watch.read()
        step = messages.Step(
            step=self.told,
            loss=loss,
            lr=1e-4,
            grad_norm=1.0,
            tokens=self._options.tokens,
            seconds=taken,
            split=split,
        )
        for message in (step, *self._load.add_step(self.told)):
            self.bytes += len(messages.encode(message))


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--experts", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=1024)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--intermediate", type=int, default=1024)
    parser.add_argument("--every", type=int, default=1, help="log.every; norms every 10 windows")
    parser.add_argument("--pairs", type=int, default=40, help="steps with, and as many without")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.device == "cpu":
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    with tempfile.TemporaryDirectory() as folder:
        dist.init_process_group("gloo", init_method=f"file://{folder}/s", rank=0, world_size=1)
        run = Run(options)
        for telling in (False, True) * 2:
            run.one(telling)
        run.clock.spent = 0.0
        # Which goes first changes from pair to pair.
        pairs = []
        for number in range(options.pairs):
            first = run.one(bool(number % 2))
            second = run.one(not number % 2)
            pairs.append((second, first) if number % 2 == 0 else (first, second))
        dist.destroy_process_group()
    without = median(off for _, off in pairs)
    shares = [(on - off) / without for on, off in pairs]
    error = stdev(shares) / len(shares) ** 0.5
    own = run.clock.spent / options.pairs / without
    print(f"{options.layers} layers of hidden {options.hidden}, {options.experts} experts, "
          f"{options.tokens} tokens, {options.dtype}, a message every {options.every} steps, on "
          f"{named(run.device)}\nstep without telemetry: {1e3 * without:.1f} ms\nwith against "
          f"without, {options.pairs} pairs: {100 * mean(shares):+.2f} % ± {100 * error:.2f}\n"
          f"its own calls: {1e3 * own * without:.3f} ms a step, "
          f"{100 * own:.3f} % (bar 0.5); {run.bytes / run.told:.0f} bytes a step told")  # fmt: skip


if __name__ == "__main__":
    main()
