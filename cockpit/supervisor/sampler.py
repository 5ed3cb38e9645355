"""Samples the host at a pace that keeps the journal of a long run small."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from cockpit.sensors.gpu import Gpus
from cockpit.sensors.host import Host
from trainer.contract import layout
from trainer.contract.messages import System

OFTEN = 2.0
SELDOM = 10.0
OFTEN_FOR = 600.0
"""Seconds after which samples become seldom."""


def interval(age: float) -> float:
    """Seconds to the next sample, `age` seconds after the start."""
    return OFTEN if age < OFTEN_FOR else SELDOM


async def sample(
    folder: Path, pids: Callable[[], Mapping[int, int]], deliver: Callable[[System], None]
) -> None:
    """Deliver samples until cancelled. A driver that hangs holds up the samples, nothing else."""
    began = time.monotonic()
    host, gpus = Host(folder), await asyncio.to_thread(Gpus)
    while True:
        current = dict(pids())
        system = await asyncio.to_thread(host.read, current)
        system.gpus = await asyncio.to_thread(gpus.read, current.values())
        with contextlib.suppress(OSError):
            system.log_size = (folder / layout.TRAINER_LOG).stat().st_size
        deliver(system)
        await asyncio.sleep(interval(time.monotonic() - began))
