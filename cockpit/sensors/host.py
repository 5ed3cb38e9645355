"""The host and the ranks' processes, as psutil sees them. A missing sensor is a missing value."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import psutil

from trainer.contract.messages import Process, System

_T = TypeVar("_T")


class Host:
    """Samples one host. folder lies on the file system whose free space matters."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._counters: dict[tuple[str, int | None], tuple[float, int]] = {}
        self._processes: dict[int, psutil.Process] = {}
        psutil.cpu_percent(None)  # the first call only sets the start of the interval

    def read(self, pids: Mapping[int, int]) -> System:
        """A sample, without GPUs. pids are the ranks' processes, by rank."""
        ram = attempt(psutil.virtual_memory)
        swap = attempt(psutil.swap_memory)
        disk = attempt(psutil.disk_io_counters)
        network = attempt(psutil.net_io_counters)
        cpu = attempt(lambda: psutil.cpu_percent(None))
        free = attempt(lambda: psutil.disk_usage(str(self._folder)))
        return System(
            host=socket.gethostname(),
            gpus=[],
            processes=self._read_processes(pids),
            ram_used=None if ram is None else ram.total - ram.available,
            ram_total=None if ram is None else ram.total,
            swap_used=None if swap is None else swap.used,
            cpu=None if cpu is None else cpu / 100,
            load=attempt(lambda: psutil.getloadavg()[0]),
            disk_free=None if free is None else free.free,
            disk_read=self._rate("disk_read", disk, "read_bytes"),
            disk_write=self._rate("disk_write", disk, "write_bytes"),
            net_sent=self._rate("net_sent", network, "bytes_sent"),
            net_received=self._rate("net_received", network, "bytes_recv"),
        )

    def _read_processes(self, pids: Mapping[int, int]) -> list[Process]:
        known = {pid: self._processes.get(pid) for pid in pids.values()}
        self._processes = {}
        gone = [key for key in self._counters if key[1] is not None and key[1] not in known]
        for key in gone:
            del self._counters[key]
        rows = []
        for rank, pid in sorted(pids.items()):
            process = known[pid] or attempt(lambda pid=pid: psutil.Process(pid))  # type: ignore[misc]
            if process is None:
                rows.append(Process(rank=rank, pid=pid))
                continue
            self._processes[pid] = process
            memory = attempt(process.memory_info)
            # Against the call before; the first reading is not one.
            cpu = attempt(lambda process=process: process.cpu_percent(None))  # type: ignore[misc]
            first = known[pid] is None
            # Not everywhere, and only for processes of the same user.
            disk = attempt(process.io_counters)
            rows.append(
                Process(
                    rank=rank,
                    pid=pid,
                    rss=None if memory is None else memory.rss,
                    cpu=None if cpu is None or first else cpu / 100,
                    disk_read=self._rate("read", disk, "read_bytes", pid),
                    disk_write=self._rate("write", disk, "write_bytes", pid),
                )
            )
        return rows

    def _rate(self, name: str, counters: Any, field: str, pid: int | None = None) -> float | None:
        """Bytes per second since the sample before."""
        if counters is None:
            return None
        now, count = time.monotonic(), int(getattr(counters, field))
        before = self._counters.get((name, pid))
        self._counters[name, pid] = now, count
        if before is None or now <= before[0] or count < before[1]:
            return None
        return (count - before[1]) / (now - before[0])


def attempt(read: Callable[[], _T]) -> _T | None:
    """What the sensor says, or None."""
    try:
        return read()
    except (psutil.Error, OSError, NotImplementedError, RuntimeError, ValueError):
        return None
