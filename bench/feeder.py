"""A run without a trainer: the supervisor's own journal, index and socket, with made-up figures.

    python bench/feeder.py RUNS_DIR [--shape 48x16] [--rate 10] [--steps N] [--messages 0]

It prints the run directory, then feeds until it is killed: `rate` steps a second; every second the
loads of experts, memory and system; besides, `messages` log entries a second. A number that is
typed into its stdin has so many log entries written at once, as fast as the journal takes them.
`p` in the cockpit pauses it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from pathlib import Path

import msgspec

sys.path.insert(0, str(Path(__file__).parents[1]))

from cockpit import processes, runs
from cockpit.runs import Run, SupervisorInfo
from cockpit.supervisor import sockets
from cockpit.supervisor.indexing import IndexKeeper
from cockpit.supervisor.server import ClientServer
from cockpit.supervisor.writer import JournalWriter
from tests.ui.make_journal import Shape, Writer
from trainer.contract import messages as m
from trainer.contract import presets

TICK = 0.02


class Feeder:
    """Serves one run."""

    def __init__(self, run: Run, shape: Shape) -> None:
        self.run, self.made = run, Writer(shape)
        self.journal = JournalWriter(run.journal)
        self.journal.open()
        self.index = IndexKeeper(run, self.journal)
        self.server = ClientServer(
            sockets.path_for(run.path, ".sock"), run.id, run.journal, self.journal, self.request
        )
        self.journal.on_written = self.server.wake
        self.step, self.paused = 0, False

    async def start(self) -> None:
        """Be there for clients."""
        await self.server.endpoint.open()
        info = SupervisorInfo(
            pid=os.getpid(), identity=processes.identity(os.getpid()) or "",
            host=runs.this_host(), started=time.time(), protocol=m.PROTOCOL,
            socket=str(self.server.endpoint.path), pipe="",
        )  # fmt: skip
        runs.write_private(self.run.supervisor_file, msgspec.json.encode(info))
        launch = m.Launch(pid=1, checkpoint=None, reason="a benchmark", restarts_left=3)
        launch.attempt = 1
        self.tell(launch, self.made.hello(0), m.Phase(phase="training", step=0))

    def tell(self, *entries: m.Entry) -> None:
        """Journal entries; clients are told by the server."""
        now = time.time()
        for entry in entries:
            entry.time, entry.seq = now, 0
            self.journal.take(m.encode(entry)[:-1], 0, 0)
        self.journal.flush()

    def request(self, request: object) -> None:
        """Pause and resume at once."""
        if not isinstance(request, m.Send):
            return
        order = request.order
        name = str(type(order).__struct_config__.tag)
        if isinstance(order, m.Pause | m.Resume):
            self.paused = isinstance(order, m.Pause)
            self.tell(m.Phase(phase="paused" if self.paused else "training", step=self.step))
        self.tell(m.Ack(id=order.id, command=name, state="done", step=self.step))

    def logs(self, count: int) -> None:
        """Log entries, every tenth of them one that is shown."""
        self.tell(
            *(
                m.Log(
                    level="info" if n % 10 else "warning", rank=n % 8, text=f"line {n} " + "x" * 60
                )
                for n in range(count)
            )
        )

    async def steps(self, rate: float) -> None:
        """A step at a time; once a second all else that is measured."""
        due = time.monotonic()
        every = max(int(rate), 1)
        while True:
            due += 1 / rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            if self.paused:
                continue
            self.step += 1
            self.tell(self.made.step(self.step))
            if self.step % every == 0:
                self.tell(self.made.experts(self.step, every), self.made.system())
                self.tell(*self.made.memory(self.step))

    async def chatter(self, per_second: float) -> None:
        """Log entries all the time."""
        sent, started = 0, time.monotonic()
        while True:
            await asyncio.sleep(TICK)
            due = int((time.monotonic() - started) * per_second)
            self.logs(due - sent)
            sent = due

    async def orders(self) -> None:
        """A flood for each number that is typed."""
        reader = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            started = time.monotonic()
            for _ in range(0, int(line), 1000):
                self.logs(1000)
                await asyncio.sleep(0)
            print(f"seconds: {time.monotonic() - started:.2f}", flush=True)
        await asyncio.sleep(3600)


async def main() -> None:
    """Feed until killed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("root", type=Path)
    parser.add_argument("--shape", default="48x16", help="layers x experts")
    parser.add_argument("--rate", type=float, default=10.0, help="steps per second")
    parser.add_argument("--steps", type=int, default=20_000, help="of the whole run")
    parser.add_argument("--messages", type=float, default=0.0, help="log entries per second")
    options = parser.parse_args()
    layers, experts = map(int, options.shape.split("x"))
    shape = Shape(layers, experts, 8, 8, options.steps, seconds=1 / options.rate)
    run = runs.create(options.root, "tiny", presets.resolve("tiny"), "bench")
    feeder = Feeder(run, shape)
    await feeder.start()
    print(run.path, flush=True)
    work = [feeder.steps(options.rate), feeder.index.keep(), feeder.orders()]
    if options.messages:
        work.append(feeder.chatter(options.messages))
    await asyncio.gather(*work)


if __name__ == "__main__":
    asyncio.run(main())
