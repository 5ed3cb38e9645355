"""What one update of the expert heatmap costs: CPU and bytes, against the straightforward way.

Ours is the widget of the dashboard, alone in an app; the other a Static that gets a Rich text in
which each cell has one of 256 colours. Both run in a pseudo-terminal, in turn, and draw the same
counts: of routing that stays as it is, and of routing that drifts. CPU is that of the whole process
(drawing, compositing, writing) less what it uses while nothing changes; bytes are those that come
out of the terminal. What ours leaves on the screen is compared with what it drew last.

    python bench/heatmap.py [--updates 60] [--rounds 3] [--shape 48x16 48x128]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import pty
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Iterator
from fcntl import ioctl
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyte
from rich.style import Style
from rich.text import Text
from textual.app import ComposeResult
from textual.screen import Screen
from textual.widgets import Static

os.environ.setdefault("TEXTUAL_ANIMATIONS", "none")
sys.path.insert(0, str(Path(__file__).parents[1]))

from cockpit.loads import Load
from cockpit.screens.painted import Painted
from cockpit.widgets.heatmap import ExpertHeatmap
from cockpit.widgets.paper import PaperApp

TOKENS = 131_072
PAUSE = 0.05
"""Seconds between two updates."""
START, END = b"\x1b]9999;start\x07", b"\x1b]9999;end\x07"


def size_of(layers: int, experts: int) -> tuple[int, int]:
    """A terminal that shows the map unfolded."""
    return (120, 40) if experts <= 16 else (experts + 72, layers + 12)


def drawn(layers: int, experts: int, drift: float) -> Iterator[np.ndarray]:
    """Counts [L, E] of one window after another."""
    random = np.random.default_rng(7)
    bias = random.normal(0, 0.35, (layers, experts))
    while True:
        bias += random.normal(0, drift, bias.shape) if drift else 0
        share = np.exp(bias) / np.exp(bias).sum(axis=1, keepdims=True)
        yield np.array([random.multinomial(TOKENS, row) for row in share])


def child(way: str, layers: int, experts: int, drift: float, updates: int) -> None:
    """The app in the terminal; at its end it writes its figures to a pipe."""

    class Bench(PaperApp[None]):
        CSS = "Static { width: 1fr; height: 1fr; }"

        def get_default_screen(self) -> Screen[None]:
            return Painted() if way == "ours" else Screen()

        def compose(self) -> ComposeResult:
            yield ExpertHeatmap() if way == "ours" else Static()

        def on_mount(self) -> None:
            self.run_worker(self.measure())

        def mark(self, what: bytes) -> None:
            assert self._driver is not None
            self._driver.write(what.decode())
            self._driver.flush()

        async def measure(self) -> None:
            counts = drawn(layers, experts, drift)
            for _ in range(3):
                self.draw(next(counts))
                await asyncio.sleep(0.2)
            began = time.process_time()
            for _ in range(updates):
                await asyncio.sleep(PAUSE)
            idle = time.process_time() - began
            windows = [next(counts) for _ in range(updates)]
            self.mark(START)
            began = time.process_time()
            for window in windows:
                self.draw(window)
                await asyncio.sleep(PAUSE)
            busy = time.process_time() - began
            await asyncio.sleep(0.3)
            self.mark(END)
            lines: list[str] = []
            if way == "ours":
                lines = self.query_one(ExpertHeatmap).grid.lines()
            told = {"cpu": (busy - idle) / updates * 1000, "lines": lines}
            os.write(int(os.environ["BENCH_OUT"]), json.dumps(told).encode() + b"\n")
            self.exit()

        def draw(self, window: np.ndarray) -> None:
            if way == "ours":
                load = Load(list(range(layers)), window, 1, TOKENS, 1)
                self.query_one(ExpertHeatmap).show(load, "")
                return
            share = window * experts / window.sum(axis=1, keepdims=True)
            place = np.clip(np.log2(np.maximum(share, 1e-9)) / 6 + 0.5, 0, 1) * 255
            width = 7 if experts <= 16 else 1
            text = Text()
            for row, figures in zip(place.astype(int).tolist(), share.tolist(), strict=True):
                for level, figure in zip(row, figures, strict=True):
                    cell = f"{figure:.1f}".center(width) if width > 3 else " "
                    text.append(cell, Style(bgcolor=f"rgb({level},80,{255 - level})"))
                text.append("\n")
            self.query_one(Static).update(text)

    Bench(ansi_color=True).run()


def measure(way: str, layers: int, experts: int, drift: float, updates: int) -> dict[str, Any]:
    """Run a child in a terminal; its CPU per update (ms), bytes per update, and its screen."""
    width, height = size_of(layers, experts)
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(TERM="xterm-256color", COLORTERM="truecolor", BENCH_OUT=str(writer))
        ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
        values = [way, str(layers), str(experts), str(drift), str(updates)]
        os.execv(sys.executable, [sys.executable, __file__, "--child", *values])
    os.close(writer)
    output = b""
    try:
        deadline = time.monotonic() + 60 + updates
        while time.monotonic() < deadline:
            if select.select([terminal], [], [], 0.5)[0]:
                try:
                    output += os.read(terminal, 65536)
                except OSError:  # the child has gone
                    break
        told: dict[str, Any] = json.loads(os.read(reader, 1_000_000))
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)
        os.close(reader)
    before, _, rest = output.partition(START)
    during, _, _ = rest.partition(END)
    told["bytes"] = len(during) / updates
    told["screen"] = before + during
    told["size"] = width, height
    return told


def check(told: dict[str, Any]) -> None:
    """What a terminal shows must be what was drawn last."""
    screen = pyte.Screen(*told["size"])
    pyte.ByteStream(screen).feed(told["screen"])
    seen = [line.rstrip() for line in screen.display]
    if seen[: len(told["lines"])] != told["lines"]:
        raise SystemExit("the terminal shows something else than what was drawn")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--updates", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--shape", nargs="+", default=["48x16", "48x128"])
    parser.add_argument("--child", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        way, layers, experts, drift, updates = options.child
        child(way, int(layers), int(experts), float(drift), int(updates))
        return
    for shape in options.shape:
        layers, experts = map(int, shape.split("x"))
        for name, drift in (("stationary", 0.0), ("drifting", 0.02)):
            pairs = []
            for _ in range(options.rounds):
                ours, naive = (
                    measure(way, layers, experts, drift, options.updates)
                    for way in ("ours", "naive")
                )
                check(ours)
                pairs.append((ours, naive))
            cpu, kib = (
                [median(pair[side][key] for pair in pairs) for side in (0, 1)]
                for key in ("cpu", "bytes")
            )
            less = median(b["cpu"] / a["cpu"] for a, b in pairs)
            fewer = median(b["bytes"] / max(a["bytes"], 1) for a, b in pairs)
            print(
                f"{shape:>7} {name:10}  ours {cpu[0]:6.2f} ms {kib[0] / 1024:7.2f} KiB   "
                f"Rich in a Static {cpu[1]:6.1f} ms {kib[1] / 1024:7.1f} KiB   "
                f"{less:5.1f} × less CPU, {fewer:6.1f} × fewer bytes",
                flush=True,
            )


if __name__ == "__main__":
    main()
