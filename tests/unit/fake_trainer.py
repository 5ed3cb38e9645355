"""Stands in for torchrun and its ranks: speaks the pipe's protocol, trains nothing.

FAKE_TRAINER holds what it shall do, as JSON: see Plan.
"""

from __future__ import annotations

import os
import queue
import signal
import socket
import subprocess
import sys
import time
from math import nan
from pathlib import Path

import msgspec

from trainer.contract import config, layout, messages
from trainer.contract.messages import Ack, Failure, Hello, Phase, Rank, Step
from trainer.pipe import Pipe


class Plan(msgspec.Struct):
    """seconds per step; steps is the whole run. crash_at: the step after which attempts up to
    crash_attempts die: raise, exit2, kill (itself), kill-rank (rank 1). loading: seconds before
    the first step. burst: extra log lines per step. nan_from … nan_to: steps without a finite
    loss."""

    steps: int = 20
    seconds: float = 0.01
    crash_at: int = -1
    crash_attempts: int = 1
    how: str = "raise"
    loading: float = 0.0
    ignore_stop: bool = False
    ignore_term: bool = False
    ranks: int = 2
    burst: int = 0
    nan_from: int = 0
    nan_to: int = 0
    checkpoint_every: int = 5


class Fake:
    def __init__(self) -> None:
        self.plan = msgspec.json.decode(os.environ.get("FAKE_TRAINER", "{}"), type=Plan)
        self.attempt = int(os.environ[layout.ATTEMPT_VARIABLE])
        self.run = Path(os.environ[layout.RUN_VARIABLE])
        self.orders: queue.SimpleQueue[messages.AnyOrder] = queue.SimpleQueue()
        self.pipe = Pipe(
            self.attempt,
            os.environ[layout.PIPE_VARIABLE],
            sys.stdout.buffer,
            layout.undelivered_file(self.run, self.attempt),
            self.orders.put,
        )
        self.step = self.newest_checkpoint()
        self.others = [
            subprocess.Popen(
                [sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True
            )
            for _ in range(1, self.plan.ranks)
        ]

    def newest_checkpoint(self) -> int:
        saved = sorted((self.run / layout.CHECKPOINTS).glob("step-*"))
        return int(saved[-1].name[5:]) if saved else 0

    def save(self) -> None:
        name = layout.checkpoint_name(self.step)
        (self.run / layout.CHECKPOINTS / name).mkdir(parents=True, exist_ok=True)
        link = self.run / layout.CHECKPOINTS / layout.LATEST
        link.unlink(missing_ok=True)
        link.symlink_to(name)
        self.pipe.send(
            messages.Checkpoint(
                step=self.step, state="saved", path=f"checkpoints/{name}", seconds=0.0, bytes=1
            )
        )

    def main(self) -> None:
        plan, host = self.plan, socket.gethostname()
        if plan.ignore_term:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self.phase("loading")
        pids = [os.getpid(), *(other.pid for other in self.others)]
        model = messages.Model(
            layers=1,
            moe_layers=[0],
            experts=2,
            experts_per_token=1,
            hidden=8,
            vocabulary=10,
            parameters=1,
            trainable=1,
        )
        self.pipe.send(
            Hello(
                protocol=messages.PROTOCOL,
                world=len(pids),
                step=self.step,
                steps=plan.steps,
                ranks=[Rank(rank=r, pid=p, host=host, device="cpu") for r, p in enumerate(pids)],
                model=model,
                tokens_per_step=100,
            )
        )
        time.sleep(plan.loading)
        self.phase("training")
        while self.step < plan.steps:
            self.train()
            if self.attempt <= plan.crash_attempts and self.step >= plan.crash_at >= 0:
                self.crash()
            if self.boundary():
                self.end(0)
        self.save()
        self.phase("done")
        self.end(0)

    def train(self) -> None:
        time.sleep(self.plan.seconds)
        self.step += 1
        self.pipe.send(
            Step(
                step=self.step,
                loss=nan
                if self.plan.nan_from <= self.step <= self.plan.nan_to
                else 5.0 / self.step,
                lr=0.1,
                grad_norm=1.0,
                tokens=100,
                seconds=self.plan.seconds,
                split={},
            )
        )
        for line in range(self.plan.burst):
            self.pipe.send(messages.Log(level="info", text=f"{self.step}.{line}"))
        if self.plan.checkpoint_every and self.step % self.plan.checkpoint_every == 0:
            self.save()

    def boundary(self) -> bool:
        """Follow the orders; True to stop."""
        while not self.orders.empty():
            if self.follow(self.orders.get()):
                return True
        return False

    def follow(self, order: messages.AnyOrder) -> bool:
        name = str(order.__struct_config__.tag)
        if isinstance(order, messages.Stop) and self.plan.ignore_stop:
            return False
        self.pipe.send(Ack(id=order.id, command=name, state="accepted", step=self.step))
        if isinstance(order, messages.SaveCheckpoint):
            self.save()
        if isinstance(order, messages.Pause):
            self.phase("paused")
            self.done(order, name)
            while True:
                other = self.orders.get()
                if isinstance(other, messages.Resume):
                    self.phase("training")
                    self.done(other, "resume")
                    return False
                if self.follow(other):
                    return True
        if isinstance(order, messages.Resume):
            self.pipe.send(
                Ack(
                    id=order.id,
                    command=name,
                    state="refused",
                    step=self.step,
                    reason="the run is not paused",
                )
            )
            return False
        if isinstance(order, messages.Stop):
            self.phase("stopping")
            self.save()
        self.done(order, name)
        return isinstance(order, messages.Stop)

    def done(self, order: messages.AnyOrder, name: str) -> None:
        self.pipe.send(Ack(id=order.id, command=name, state="done", step=self.step))

    def phase(self, name: str) -> None:
        self.pipe.send(Phase(phase=name, step=self.step))

    def crash(self) -> None:
        how = self.plan.how
        if how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "kill-rank":
            victim = self.others[0].pid
            self.others[0].kill()
            self.others[0].wait()
            time.sleep(0.6)
            print(
                f"Root Cause (first observed failure):\n  rank      : 1 (local_rank: 1)\n"
                f"  exitcode  : -9 (pid: {victim})\n",
                flush=True,
            )
            self.end(1)
        if how == "raise":
            self.pipe.send(Failure(kind="exception", rank=0, text="ValueError: no", advice="mend"))
        if how == "exit2":
            print(
                "ConfigError: train.lr is odd\nRoot Cause (first observed failure):\n"
                f"  rank      : 0 (local_rank: 0)\n  exitcode  : 2 (pid: {os.getpid()})\n",
                flush=True,
            )
            self.end(1)
        print("ValueError: not this way", flush=True)
        self.end(1)

    def end(self, code: int) -> None:
        self.pipe.close(1.0)
        for other in self.others:
            other.kill()
        sys.exit(code)


assert config  # the real contract, not a copy
Fake().main()
