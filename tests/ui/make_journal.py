"""Realistic journals, for the eye and for tests.

    python tests/ui/make_journal.py RUNS_DIR [--shape 4x16] [--steps 120] [--crash] [--live RATE]

A run is written as the supervisor writes it; with --live it grows while one watches.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cockpit import runs
from trainer.contract import messages as m
from trainer.contract import presets

GIB = 2**30


@dataclass
class Shape:
    """What kind of run."""

    layers: int = 4
    experts: int = 16
    ranks: int = 2
    gpus: int = 0
    steps: int = 120
    until: int | None = None
    crash: bool = False
    every: int = 25
    samples: int = 1
    seconds: float = 0.8
    start: float = 1_764_000_000.0
    tokens: int = 16_384
    updates: bool = False

    @property
    def device(self) -> str:
        return "cuda" if self.gpus else "cpu"


class Writer:
    """Stamps entries as a journal does."""

    def __init__(self, shape: Shape) -> None:
        self.shape, self.now, self.seq = shape, shape.start, 0
        self.random = np.random.default_rng(1)
        self.bias = self.random.normal(0, 0.25, (shape.layers, shape.experts))
        self.attempt = 1

    def stamp(self, entry: m.Entry) -> m.Entry:
        self.seq += 1
        entry.seq, entry.time, entry.mono = self.seq, round(self.now, 3), self.now
        entry.attempt = self.attempt
        return entry

    def hello(self, step: int) -> m.Entry:
        s = self.shape
        ranks = [
            m.Rank(
                rank=r,
                pid=4000 + r,
                host=f"node{r // 8 + 1}" if s.gpus else "node1",
                device=f"cuda:{r % 8}" if s.gpus else "cpu",
            )
            for r in range(s.ranks)
        ]
        model = m.Model(
            layers=s.layers, moe_layers=list(range(s.layers)), experts=s.experts,
            experts_per_token=1, hidden=128, vocabulary=4096,
            parameters=8_400_000 if not s.gpus else 107_769_861_120, trainable=8_400_000,
            flops_per_token=5e7 if not s.gpus else 1.09e11,
        )  # fmt: skip
        return m.Hello(
            protocol=1, world=s.ranks, ranks=ranks, model=model, step=step, steps=s.steps,
            tokens_per_step=s.tokens,
        )  # fmt: skip

    def step(self, n: int) -> m.Entry:
        """A power law down to 2.1, with noise and a bump."""
        loss = 2.1 + 6.2 * (1 + n / 6) ** -0.7 + self.random.normal(0, 0.06)
        loss += 0.8 * math.exp(-(((n - 0.45 * self.shape.steps) / 6) ** 2)) if n > 60 else 0
        seconds = self.shape.seconds * (1 + 0.06 * self.random.normal())
        lr = 3e-3 * min(n / 5, 0.55 + 0.45 * math.cos(math.pi * n / self.shape.steps))
        self.now += seconds
        split = {"forward": seconds * 0.3, "backward": seconds * 0.5, "optimizer": seconds * 0.2}
        return m.Step(
            step=n, loss=loss, lr=lr, grad_norm=abs(self.random.normal(0.9, 0.2)),
            tokens=self.shape.tokens, seconds=seconds, split=split,
        )  # fmt: skip

    def experts(self, n: int, steps: int) -> m.Experts:
        s = self.shape
        self.bias += self.random.normal(0, 0.01, self.bias.shape)
        logits = self.bias.copy()
        if n > s.steps // 3:
            logits[-1, 3] = 2.2  # one gets hot, one dies
            logits[0, -2] = -12
        share = np.exp(logits)
        counts = [
            self.random.multinomial(s.tokens * steps, row / row.sum()).tolist() for row in share
        ]
        return m.Experts(
            step=n,
            steps=steps,
            layers=list(range(s.layers)),
            counts=counts,
            tokens=s.tokens * steps,
        )

    def evaluation(self, n: int) -> m.Entry:
        loss = 2.2 + 6.1 * (1 + n / 6) ** -0.68
        return m.Eval(step=n, loss=loss, tokens=8192, seconds=0.4)

    def balance(self, n: int, steps: int) -> m.Entry:
        aux = 1.02 + 0.4 * math.exp(-n / 30) + abs(self.random.normal(0, 0.01))
        return m.Balance(step=n, steps=steps, aux_loss=aux, z_loss=3.1 + self.random.normal(0, 0.1))

    def updates(self, n: int, counted: m.Experts) -> m.Entry:
        """Norms near 1e-3; the first layer's expert 2 never moves, the last expert is frozen."""
        norms = self.random.lognormal(math.log(1e-3), 0.2, self.bias.shape)
        moved: list[list[float | None]] = np.where(np.array(counted.counts) > 0, norms, 0).tolist()
        moved[0][min(2, self.shape.experts - 1)] = 0.0
        for row in moved:
            row[-1] = None
        return m.Updates(
            step=n, steps=counted.steps, layers=counted.layers, norms=moved, tokens=counted.counts
        )

    def memory(self, n: int) -> Iterator[m.Entry]:
        base = 61 * GIB if self.shape.gpus else int(0.9 * GIB)
        for rank in range(self.shape.ranks):
            used = int(base * (1 + 0.05 * self.random.random()))
            yield m.Memory(
                step=n, rank=rank, allocated=used, reserved=int(used * 1.08), peak=int(base * 1.2),
                host_pinned=256 * 2**20, offload_cpu=int(0.4 * base), offload_nvme=0,
                **self.device(rank, used),
            )  # fmt: skip

    def device(self, rank: int, used: int) -> dict[str, int]:
        """One rank's GPU is shared with a process of somebody else."""
        if not self.shape.gpus:
            return {}
        total = int(139.8 * GIB)
        other = int(58.5 * GIB) if rank == self.shape.ranks * 2 // 3 else 0
        return {"device_total": total, "device_free": total - int(used * 1.08) - GIB // 2 - other}

    def system(self) -> m.Entry:
        s, r = self.shape, self.random
        gpus = [
            m.Gpu(
                index=i, name="NVIDIA H200", memory_used=70 * GIB + i * GIB // 2,
                memory_total=int(139.8 * GIB), memory_run=69 * GIB,
                utilisation=0.9 + 0.1 * r.random(), temperature=float(r.integers(58, 66)),
                power=640 + 20 * r.random(), power_limit=700.0,
            )
            for i in range(min(s.gpus, 8))
        ]  # fmt: skip
        return m.System(
            host="node1", gpus=gpus,
            processes=[
                m.Process(rank=k, pid=4000 + k, rss=GIB, cpu=1.0, disk_read=0.0, disk_write=6e5)
                for k in range(min(s.ranks, 8))
            ],
            ram_used=int(9.1 * GIB), ram_total=int(31.2 * GIB), cpu=0.87, load=2.2,
            disk_free=120 * GIB, disk_read=0.0, disk_write=1.2e6,
        )  # fmt: skip

    def checkpoint(self, n: int, state: str, seconds: float = 0.0) -> m.Entry:
        return m.Checkpoint(
            step=n, state=state, path=f"checkpoints/step-{n:08d}", seconds=seconds,  # type: ignore[arg-type]
            bytes=0 if state == "started" else 104_857_600,
        )  # fmt: skip


def entries(shape: Shape) -> Iterator[m.Entry]:
    """The whole run: with crash, an attempt dies two thirds of the way and another goes on."""
    w = Writer(shape)
    yield w.stamp(m.Supervisor(state="started", pid=3999, host="node1"))
    dies = shape.steps * 2 // 3 + 3 if shape.crash else None
    yield from attempt(w, 0, dies, None)
    if dies is None:
        return
    yield w.stamp(
        m.Failure(
            kind="killed", rank=1, text="killed by signal 9 (SIGKILL), by the kernel for want of "
            "memory or by hand", advice="starting again from the newest good checkpoint",
        )
    )  # fmt: skip
    w.now += 6
    w.attempt = 2
    start = dies // shape.every * shape.every
    yield from attempt(w, start, None, f"checkpoints/step-{start:08d}")


def attempt(w: Writer, start: int, dies: int | None, checkpoint: str | None) -> Iterator[m.Entry]:
    shape = w.shape
    reason = "the run's start" if w.attempt == 1 else "a failure"
    left = 3 - (w.attempt - 1)
    launch = m.Launch(pid=4000, checkpoint=checkpoint, reason=reason, restarts_left=left)
    yield w.stamp(launch)
    for _ in range(3):
        w.now += 2
        yield w.stamp(w.system())
    yield w.stamp(m.Phase(phase="loading", step=start, detail="4 layers"))
    w.now += 8
    yield w.stamp(w.hello(start))
    if checkpoint:
        yield w.stamp(w.checkpoint(start, "restored"))
    yield w.stamp(m.Phase(phase="training", step=start))
    for n in range(start + 1, (shape.until or shape.steps) + 1):
        if n == dies:
            return
        yield from one_step(w, n)
    if shape.until is None:
        yield w.stamp(m.Phase(phase="done", step=shape.steps))
        yield w.stamp(m.End(state="done", step=shape.steps, reason="all steps are done"))


def one_step(w: Writer, n: int) -> Iterator[m.Entry]:
    shape = w.shape
    yield w.stamp(w.step(n))
    if n % shape.samples == 0:
        counted = w.experts(n, shape.samples)
        yield w.stamp(counted)
        if shape.updates:
            yield w.stamp(w.updates(n, counted))
        yield w.stamp(w.balance(n, shape.samples))
        for entry in w.memory(n):
            yield w.stamp(entry)
        yield w.stamp(w.system())
    if n % shape.every == 0:
        yield w.stamp(w.evaluation(n))
        yield w.stamp(m.Phase(phase="checkpointing", step=n))
        yield w.stamp(w.checkpoint(n, "started"))
        w.now += 1.3
        yield w.stamp(w.checkpoint(n, "saved", 1.31))
        yield w.stamp(w.checkpoint(n, "verified", 0.2))
        yield w.stamp(m.Phase(phase="training", step=n))


def write(path: Path, shape: Shape, live: float = 0.0) -> None:
    """The journal of a run into a file; live is steps per second, 0 all at once."""
    with path.open("wb") as file:
        for entry in entries(shape):
            file.write(m.encode(entry))
            if live:
                file.flush()
                time.sleep(1 / live if isinstance(entry, m.Step) else 0)


def run_directory(
    root: Path, shape: Shape, name: str = "example", preset: str = "tiny", live: float = 0.0
) -> Path:
    """A run directory as `runs.create` makes it, with a journal in it."""
    run = runs.create(root, preset, presets.resolve(preset, [f"train.steps={shape.steps}"]), name)
    write(run.journal, shape, live)
    return run.path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path)
    parser.add_argument("--name", default="example")
    parser.add_argument("--shape", default="4x16", help="layers x experts")
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--until", type=int)
    parser.add_argument("--gpus", type=int, default=0)
    parser.add_argument("--samples", type=int, default=1, help="steps between samples")
    parser.add_argument("--every", type=int, default=25, help="steps between checkpoints")
    parser.add_argument("--updates", action="store_true", help="with update norms of experts")
    parser.add_argument("--crash", action="store_true")
    parser.add_argument("--live", type=float, default=0.0, metavar="STEPS_PER_SECOND")
    options = parser.parse_args()
    layers, experts = map(int, options.shape.split("x"))
    shape = Shape(
        layers, experts, options.gpus or 2, options.gpus, options.steps, options.until,
        options.crash, options.every, options.samples, updates=options.updates,
    )  # fmt: skip
    if options.until:
        shape.start = time.time() - 60
    print(run_directory(options.root, shape, options.name, live=options.live))


if __name__ == "__main__":
    main()
