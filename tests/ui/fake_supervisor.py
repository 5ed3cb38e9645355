"""A run with a real socket behind it, but no training: what a cockpit can be tried against.

    python tests/ui/fake_supervisor.py RUNS_DIR [--shape 4x16] [--rate STEPS_PER_SECOND]

It journals, serves clients by the protocol of the supervisor, and answers commands as a trainer
would at its next step.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import tempfile
import time
from pathlib import Path

import msgspec
from make_journal import Shape, Writer

from cockpit import processes, runs
from cockpit.runs import Run, SupervisorInfo
from trainer.contract import messages as m
from trainer.contract import presets


class FakeSupervisor:
    """Serves one run."""

    def __init__(self, run: Run, shape: Shape, rate: float) -> None:
        self.run, self.shape, self.rate = run, shape, rate
        self.writer = Writer(shape)
        self.clients: set[asyncio.StreamWriter] = set()
        self.lines: list[bytes] = []
        self.orders: list[m.AnyOrder] = []
        self.control_requests: list[m.Control] = []
        self.paused = self.ended = False
        self.step = 0
        self.socket = Path(tempfile.mkdtemp(prefix="l4c-fake-")) / "s"

    async def start(self) -> None:
        self.server = await asyncio.start_unix_server(self.serve, str(self.socket))
        info = SupervisorInfo(
            pid=os.getpid(), identity=processes.identity(os.getpid()) or "", host=runs.this_host(),
            started=time.time(), protocol=m.PROTOCOL, socket=str(self.socket), pipe="",
        )  # fmt: skip
        runs.write_private(self.run.supervisor_file, msgspec.json.encode(info))

    async def close(self) -> None:
        self.server.close()
        for client in self.clients:
            client.close()
        self.clients.clear()
        self.run.supervisor_file.unlink(missing_ok=True)
        shutil.rmtree(self.socket.parent, ignore_errors=True)

    def tell(self, *entries: m.Entry) -> None:
        self.writer.now = time.time()
        for entry in entries:
            line = m.encode(self.writer.stamp(entry))
            self.lines.append(line)
            with self.run.journal.open("ab") as file:
                file.write(line)
            for client in self.clients:
                client.write(line)

    def tell_controls(self, controls: m.Controls) -> None:
        for client in self.clients:
            client.write(m.encode(controls))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seq = len(self.lines)
        greeting = m.Greeting(protocol=m.PROTOCOL, pid=os.getpid(), run=self.run.id, seq=seq)
        writer.write(m.encode(greeting))
        try:
            while line := await reader.readline():
                self.answer(m.decode_request(line), writer)
        except ConnectionError:
            pass
        self.clients.discard(writer)

    def answer(self, request: m.ToSupervisor | None, writer: asyncio.StreamWriter) -> None:
        if isinstance(request, m.Subscribe):
            writer.write(b"".join(self.lines[request.since :]))
            self.clients.add(writer)
        elif isinstance(request, m.Send):
            self.take(request.order, request.by)
        elif isinstance(request, m.Control):
            self.control_requests.append(request)
        elif isinstance(request, m.Acknowledge):
            seen = m.Acknowledged(
                rule=request.rule, layer=request.layer, expert=request.expert, by=request.by
            )
            self.tell(seen)
        elif isinstance(request, m.Restart):
            self.ended = False
            self.tell(m.Ack(id=request.id, command="resume", state="accepted", step=self.step))
            self.begin("asked for")

    def take(self, order: m.AnyOrder, by: str) -> None:
        name = type(order).__struct_config__.tag
        arguments = {k: v for k, v in msgspec.to_builtins(order).items() if k not in ("id", "type")}
        self.tell(m.Command(id=order.id, command=str(name), by=by, arguments=arguments))
        if isinstance(order, m.Resume) and not self.paused:
            refused = "it is not paused"
            self.tell(
                m.Ack(
                    id=order.id, command="resume", state="refused", step=self.step, reason=refused
                )
            )
            return
        self.tell(m.Ack(id=order.id, command=str(name), state="accepted", step=self.step))
        self.orders.append(order)
        if self.paused:
            self.obey()

    def obey(self) -> None:
        """At a step boundary."""
        for order in self.orders:
            name = str(type(order).__struct_config__.tag)
            match order:
                case m.Pause():
                    self.paused = True
                    self.tell(m.Phase(phase="paused", step=self.step))
                case m.Resume():
                    self.paused = False
                    self.tell(m.Phase(phase="training", step=self.step))
                case m.SaveCheckpoint():
                    self.tell(self.writer.checkpoint(self.step, "saved", 0.8))
                case m.Stop():
                    self.ended = True
            self.tell(m.Ack(id=order.id, command=name, state="done", step=self.step))
        self.orders.clear()
        if self.ended:
            self.tell(m.End(state="stopped", step=self.step, reason="asked to stop"))

    def begin(self, reason: str = "the run's start") -> None:
        self.tell(
            m.Launch(pid=1, checkpoint=None, reason=reason, restarts_left=3),
            self.writer.hello(self.step),
            m.Phase(phase="training", step=self.step),
        )

    def one_step(self) -> None:
        self.step += 1
        self.tell(self.writer.step(self.step))
        if self.step % self.shape.samples == 0:
            self.tell(self.writer.experts(self.step, self.shape.samples), self.writer.system())
            self.tell(*self.writer.memory(self.step))
        self.obey()

    async def train(self) -> None:
        self.begin()
        while self.step < self.shape.steps:
            await asyncio.sleep(1 / self.rate)
            if not (self.paused or self.ended):
                self.one_step()
        self.tell(m.End(state="done", step=self.step, reason="all steps are done"))
        await asyncio.sleep(3600)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path)
    parser.add_argument("--name", default="live")
    parser.add_argument("--shape", default="4x16")
    parser.add_argument("--gpus", type=int, default=0)
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--rate", type=float, default=10.0)
    options = parser.parse_args()
    layers, experts = map(int, options.shape.split("x"))
    shape = Shape(
        layers, experts, options.gpus or 2, options.gpus, options.steps,
        samples=max(int(options.rate), 1), seconds=1 / options.rate,
    )  # fmt: skip
    run = runs.create(options.root, "tiny", presets.resolve("tiny"), options.name)
    supervisor = FakeSupervisor(run, shape, options.rate)
    await supervisor.start()
    print(run.path, flush=True)
    await supervisor.train()


if __name__ == "__main__":
    asyncio.run(main())
