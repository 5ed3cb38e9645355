"""For each step on stdin, forks a process that saves checkpoints from this step on until it is
killed. Arguments: folder, bytes of state.

Prints its pid, then each step whose checkpoint it has been told is on disk, and `dead` at last.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from fake_engine import FakeEngine
from torch.distributed import TCPStore

from trainer.checkpoint.save import Position, save
from trainer.store import Store


def main() -> None:
    for line in sys.stdin:
        if (child := os.fork()) == 0:
            save_for_ever(Path(sys.argv[1]), int(sys.argv[2]), int(line))
        os.waitpid(child, 0)
        print("dead", flush=True)


def save_for_ever(folder: Path, size: int, step: int) -> None:
    server = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"] = "127.0.0.1", str(server.port)
    store = Store(0, 1)
    print(os.getpid(), flush=True)
    while True:
        engine = FakeEngine(0, state=bytes([step % 256]) * size)
        position = Position(step, step * 10, step * 2, {"lr_scale": 1.0}, {})
        save(folder, position, engine, store, f"save/{step}")
        print(step, flush=True)
        step += 1


if __name__ == "__main__":
    main()
