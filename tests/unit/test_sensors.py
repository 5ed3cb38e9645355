"""Sensors answer with values or with nothing, never with an exception."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from cockpit.sensors.gpu import Gpus
from cockpit.sensors.host import Host


def test_the_host_is_sampled(tmp_path: Path) -> None:
    host = Host(tmp_path)
    first = host.read({0: os.getpid()}).processes[0]
    assert first.cpu is None and first.disk_write is None  # rates need two readings
    time.sleep(0.05)
    system = host.read({0: os.getpid(), 1: 2**22 + 1})
    assert system.host == socket.gethostname()
    assert system.ram_total and system.ram_used and system.ram_used < system.ram_total
    assert system.cpu is not None and 0 <= system.cpu <= 1
    assert system.disk_free and system.disk_free > 0
    mine, nobody = system.processes
    assert (mine.rank, mine.pid) == (0, os.getpid())
    assert mine.rss and mine.rss > 2**20 and mine.cpu is not None
    assert nobody.rss is None and nobody.cpu is None and nobody.disk_write is None


def test_what_a_process_writes_to_disk_is_its_rate(tmp_path: Path) -> None:
    host, mine = Host(tmp_path), {0: os.getpid()}
    host.read(mine)
    before = psutil.Process().io_counters().write_bytes
    with (tmp_path / "file").open("wb") as file:
        file.write(bytes(2**20))
        file.flush()
        os.fsync(file.fileno())
    process = host.read(mine).processes[0]
    grown = psutil.Process().io_counters().write_bytes - before  # none where /tmp is memory
    assert process.disk_write is not None and process.disk_read is not None
    assert (process.disk_write > 0) == (grown > 0)


def test_a_process_that_ends_between_samples_loses_its_values(tmp_path: Path) -> None:
    host = Host(tmp_path)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert host.read({0: child.pid}).processes[0].rss
        child.communicate(b"\n")
    assert host.read({0: child.pid}).processes[0].rss is None


def test_missing_sensors_are_missing_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise OSError("no such sensor")

    host = Host(tmp_path / "gone")
    for name in ("virtual_memory", "swap_memory", "disk_io_counters", "net_io_counters",
                 "getloadavg", "cpu_percent"):  # fmt: skip
        monkeypatch.setattr(psutil, name, broken)
    system = host.read({})
    assert system.ram_used is None and system.load is None and system.disk_free is None
    assert system.net_sent is None and system.cpu is None


def test_without_a_gpu_there_are_no_rows() -> None:
    if not Path("/dev/nvidiactl").exists():
        assert Gpus().read() == []


class FakeNvml:
    """Stands in for NVML on a machine without it: two GPUs, some sensors missing."""

    NVML_TEMPERATURE_GPU = NVML_CLOCK_SM = 0
    NVML_CLOCK_MEM = 1

    @staticmethod
    def nvmlInit() -> None: ...  # noqa: N802

    def __getattr__(self, name: str) -> object:
        values = {
            "nvmlDeviceGetCount": 2,
            "nvmlDeviceGetName": b"NVIDIA H200",
            "nvmlDeviceGetMemoryInfo": SimpleNamespace(used=5, total=10),
            "nvmlDeviceGetUtilizationRates": SimpleNamespace(gpu=50),
            "nvmlDeviceGetTemperature": 40,
            "nvmlDeviceGetPowerUsage": 350_000,
            "nvmlDeviceGetClockInfo": 1980,
            "nvmlDeviceGetComputeRunningProcesses": [
                SimpleNamespace(pid=70, usedGpuMemory=3),
                SimpleNamespace(pid=71, usedGpuMemory=1),
                SimpleNamespace(pid=72, usedGpuMemory=None),
            ],
        }
        if name == "nvmlDeviceGetHandleByIndex":
            return lambda index: index
        if name == "nvmlDeviceGetUUID":
            return lambda device: f"GPU-{device}abc"
        if name in values:
            return lambda *_: values[name]
        if name.startswith("nvml"):
            return self._unsupported
        raise AttributeError(name)

    @staticmethod
    def _unsupported(*_: object) -> None:
        raise RuntimeError("Not Supported")


def test_a_gpu_row_has_what_its_sensors_give(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml())
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    rows = Gpus().read()
    assert [row.index for row in rows] == [0, 1]
    row = rows[0]
    assert (row.name, row.memory_used, row.memory_total) == ("NVIDIA H200", 5, 10)
    assert (row.utilisation, row.temperature, row.power, row.sm_clock) == (0.5, 40, 350, 1980)
    assert row.power_limit is None and row.nvlink_tx is None


@pytest.mark.parametrize(
    ("visible", "expected"),
    [("1", [1]), ("GPU-0", [0]), ("", []), ("0,1", [0, 1]), ("1,0", [1, 0]), ("GPU-1,0", [1, 0])],
)
def test_only_the_visible_gpus_are_shown_in_the_order_of_the_variable(
    monkeypatch: pytest.MonkeyPatch, visible: str, expected: list[int]
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml())
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert [row.index for row in Gpus().read()] == expected


@pytest.mark.parametrize(
    ("ranks", "expected"), [([70, 71], 4), ([70], 3), ([72], None), ([9999], None), ([], None)]
)
def test_the_runs_share_of_a_gpu_is_known_only_if_its_processes_are(
    monkeypatch: pytest.MonkeyPatch, ranks: list[int], expected: int | None
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml())
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert {row.memory_run for row in Gpus().read(ranks)} == {expected}
