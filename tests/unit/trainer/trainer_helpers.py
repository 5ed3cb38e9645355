"""What several of these tests need: a real store, ranks in threads, short messages."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import hypothesis

from trainer.contract import messages

quick = hypothesis.settings(max_examples=60, deadline=None)


def on_ranks(world: int, part: Callable[[int], Any], patience: float = 30.0) -> list[Any]:
    """What each rank's call returned, or the exception that it raised; the ranks are threads."""
    results: list[Any] = [TimeoutError("the rank still waits")] * world

    def run(rank: int) -> None:
        try:
            results[rank] = part(rank)
        except BaseException as error:
            results[rank] = error

    threads = [threading.Thread(target=run, args=(rank,), daemon=True) for rank in range(world)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + patience
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return results


def eventually(condition: Callable[[], Any], patience: float = 10.0) -> Any:
    """The condition's value once it is true."""
    deadline = time.monotonic() + patience
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not come to be in time"
        time.sleep(0.005)
    return value


def step(number: int, **fields: Any) -> messages.Step:
    values = {"loss": 1.0, "lr": 1e-3, "grad_norm": 1.0, "tokens": 8, "seconds": 0.1, "split": {}}
    return messages.Step(step=number, **(values | fields))


def memory(number: int = 1) -> messages.Memory:
    return messages.Memory(
        step=number, rank=0, allocated=1, reserved=2, peak=3,
        host_pinned=0, offload_cpu=0, offload_nvme=0,
    )  # fmt: skip


def phase(number: int = 1) -> messages.Phase:
    return messages.Phase(phase="training", step=number)
