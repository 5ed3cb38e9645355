"""What goes to disk and comes back: bytes, and how long the rank waits for them.

All that DeepSpeed swaps goes through one handle of its asynchronous I/O library. Submitting seldom
takes long and reads and writes run on; a rank stands still only in `wait`, and in a submission
where the queue is full. Both are measured here, by the clock of the process.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch


class Traffic:
    """Stands in for an I/O handle and counts what is asked of it; everything else goes through.

    read and written are bytes, waited is seconds, since the start.
    """

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        self.read = self.written = 0
        self.waited = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._handle, name)

    def async_pread(self, buffer: torch.Tensor, path: str, offset: int) -> int:
        """Begin to fill a buffer from a file; 0 if that was taken on."""
        self.read += buffer.numel() * buffer.element_size()
        return self._timed(lambda: self._handle.async_pread(buffer, path, offset))

    def async_pwrite(self, buffer: torch.Tensor, path: str, offset: int) -> int:
        """Begin to write a buffer to a file; 0 if that was taken on."""
        self.written += buffer.numel() * buffer.element_size()
        return self._timed(lambda: self._handle.async_pwrite(buffer, path, offset))

    def wait(self) -> int:
        """Wait until all that was begun is done; how many that were."""
        return self._timed(self._handle.wait)

    def _timed(self, act: Callable[[], Any]) -> int:
        began = time.perf_counter()
        try:
            return int(act())
        finally:
            self.waited += time.perf_counter() - began


def measure(engine: Any) -> Traffic:
    """Put a Traffic in the place of the handle that swaps an engine's optimizer states."""
    swapper = engine.optimizer.optimizer_swapper
    traffic = Traffic(swapper.aio_handle)
    swapper.aio_handle = swapper.gradient_swapper.aio_handle = traffic
    return traffic
