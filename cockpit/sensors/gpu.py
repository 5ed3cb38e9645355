"""GPUs, as NVML sees them. No driver, no GPU or no such sensor: no row, or no value."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection
from typing import Any, TypeVar

from trainer.contract.messages import Gpu

_T = TypeVar("_T")
_KIB = 1024


class Gpus:
    """The GPUs of this host; those in CUDA_VISIBLE_DEVICES, in its order, where that is set."""

    def __init__(self) -> None:
        self._nvml: Any = None
        self._devices: list[tuple[int, Any]] = []
        self._links: dict[tuple[int, int], tuple[float, int]] = {}
        try:
            import pynvml  # noqa: PLC0415 - slow, and useless on most clients

            pynvml.nvmlInit()
            self._nvml = pynvml
            self._devices = self._visible()
        except Exception:  # noqa: BLE001, RUF100 - NVML raises many things, none of them matters
            self._devices = []

    def read(self, pids: Collection[int] = ()) -> list[Gpu]:
        """One row a GPU, in the order in which the run counts them. pids are the run's ranks."""
        rows = [self._read(index, device) for index, device in self._devices]
        held = [self._held(device) for _, device in self._devices]
        # A container with pids of its own sees none of them, or those of others.
        if any(pid in processes for processes in held for pid in pids):
            for row, processes in zip(rows, held, strict=True):
                row.memory_run = sum(processes.get(pid, 0) for pid in set(pids))
        return rows

    def _held(self, device: Any) -> dict[int, int]:
        """Bytes of each process that computes on a GPU; without those that NVML cannot tell."""
        nvml = self._nvml
        rows = _attempt(lambda: nvml.nvmlDeviceGetComputeRunningProcesses(device)) or ()
        return {int(row.pid): int(row.usedGpuMemory) for row in rows if row.usedGpuMemory}

    def _visible(self) -> list[tuple[int, Any]]:
        nvml = self._nvml
        count = nvml.nvmlDeviceGetCount()
        every = [(index, nvml.nvmlDeviceGetHandleByIndex(index)) for index in range(count)]
        chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
        if chosen is None:
            return every
        wanted = [part.strip() for part in chosen.split(",") if part.strip()]
        return [
            (index, device)
            for name in wanted
            for index, device in every
            if str(index) == name or _text(nvml.nvmlDeviceGetUUID(device)).startswith(name)
        ]

    def _read(self, index: int, device: Any) -> Gpu:
        nvml = self._nvml
        name = _attempt(lambda: _text(nvml.nvmlDeviceGetName(device)))
        memory = _attempt(lambda: nvml.nvmlDeviceGetMemoryInfo(device))
        rates = _attempt(lambda: nvml.nvmlDeviceGetUtilizationRates(device))
        power = _attempt(lambda: nvml.nvmlDeviceGetPowerUsage(device))
        limit = _attempt(lambda: nvml.nvmlDeviceGetEnforcedPowerLimit(device))
        clock = nvml.nvmlDeviceGetClockInfo
        return Gpu(
            index=index,
            name=name or "GPU",
            memory_used=None if memory is None else int(memory.used),
            memory_total=None if memory is None else int(memory.total),
            utilisation=None if rates is None else rates.gpu / 100,
            temperature=_number(
                lambda: nvml.nvmlDeviceGetTemperature(device, nvml.NVML_TEMPERATURE_GPU)
            ),
            power=None if power is None else power / 1000,
            power_limit=None if limit is None else limit / 1000,
            sm_clock=_number(lambda: clock(device, nvml.NVML_CLOCK_SM)),
            memory_clock=_number(lambda: clock(device, nvml.NVML_CLOCK_MEM)),
            nvlink_tx=self._link(index, device, "NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX"),
            nvlink_rx=self._link(index, device, "NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX"),
        )

    def _link(self, index: int, device: Any, field: str) -> float | None:
        """Bytes per second over all NVLinks since the call before; NVML counts KiB."""
        number = getattr(self._nvml, field, None)
        if number is None:
            return None
        # Scope 0xFFFFFFFF: the sum of all links.
        values = _attempt(
            lambda: self._nvml.nvmlDeviceGetFieldValues(device, [(number, 0xFFFFFFFF)])
        )
        if not values or values[0].nvmlReturn != 0:
            return None
        now, count = time.monotonic(), int(values[0].value.ullVal)
        before = self._links.get((index, number))
        self._links[index, number] = now, count
        if before is None or now <= before[0] or count < before[1]:
            return None
        return (count - before[1]) * _KIB / (now - before[0])


def _attempt(read: Callable[[], _T]) -> _T | None:
    try:
        return read()
    except Exception:  # noqa: BLE001, RUF100 - a missing sensor is a missing value
        return None


def _number(read: Callable[[], Any]) -> float | None:
    value = _attempt(read)
    return None if value is None else float(value)


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
