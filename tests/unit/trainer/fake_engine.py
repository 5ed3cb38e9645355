"""An engine without a model: some bytes per rank, which can refuse to be written."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import torch

from trainer.engines.protocol import Offloaded


class FakeEngine:
    """See `Engine`. before_save is called with the folder before anything is written."""

    def __init__(
        self,
        rank: int,
        state: bytes = b"",
        slow: float = 0.0,
        before_save: Callable[[Path], None] = lambda folder: None,
    ) -> None:
        self.module = torch.nn.Identity()
        self.device = torch.device("cpu")
        self.state = state
        self.loads = self.read = 0
        self._rank, self._slow, self._before_save = rank, slow, before_save

    def save(self, folder: Path) -> None:
        self._before_save(folder)
        (folder / "engine").mkdir(exist_ok=True)
        with (folder / "engine" / f"rank{self._rank}.bin").open("wb") as file:
            for start in range(0, len(self.state), 2**14):
                file.write(self.state[start : start + 2**14])
                file.flush()
                time.sleep(self._slow)
        with (folder / "engine" / f"rank{self._rank}.pt").open("wb") as file:
            torch.save({"state": torch.frombuffer(bytearray(self.state), dtype=torch.uint8)}, file)

    def load(self, folder: Path) -> None:
        self.state = (folder / "engine" / f"rank{self._rank}.bin").read_bytes()
        self.loads += 1

    def offloaded(self) -> Offloaded:
        return Offloaded(pinned=1, cpu=2, nvme=3, read=self.read, written=2 * self.read, free=9)

    def waited(self) -> float:
        return self.read / 2**30
