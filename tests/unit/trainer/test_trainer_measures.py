"""Small measures: the learning rate, where time and memory go, and what is said of a death."""

from __future__ import annotations

import errno
import time
from pathlib import Path

import pytest
import torch
from fake_engine import FakeEngine
from hypothesis import given
from hypothesis import strategies as st
from trainer_helpers import quick

from trainer import failures
from trainer.checkpoint.restore import NoGoodCheckpoint
from trainer.contract import layout, messages
from trainer.contract.config import ConfigError, Train
from trainer.engines.traffic import Traffic
from trainer.place import Place, find
from trainer.schedule import learning_rate
from trainer.telemetry.memory import MemoryGauge
from trainer.telemetry.stopwatch import Stopwatch

# --- schedule ----------------------------------------------------------------------------

trains = st.builds(
    Train,
    steps=st.integers(1, 300),
    warmup=st.integers(0, 400),
    lr=st.floats(1e-6, 1.0),
    min_lr=st.floats(0, 1),
    schedule=st.sampled_from(["cosine", "linear", "constant"]),
)


@quick
@given(trains)
def test_the_rate_rises_to_its_peak_and_then_never_rises(train: Train) -> None:
    rates = [learning_rate(train, step) for step in range(1, train.steps + 1)]
    peak = min(train.warmup, train.steps)
    up, down = rates[:peak], rates[max(0, peak - 1) :]
    assert up == sorted(up)
    assert down == sorted(down, reverse=True) or max(down) - min(down) < 1e-12 * train.lr
    assert all(0 < rate <= train.lr * (1 + 1e-12) for rate in rates[:-1])


def test_a_warm_up_is_linear_and_ends_at_the_peak() -> None:
    train = Train(steps=100, warmup=4, lr=1.0)
    assert [learning_rate(train, step) for step in (1, 2, 3, 4)] == [0.25, 0.5, 0.75, 1.0]


@pytest.mark.parametrize(
    ("schedule", "middle", "last"),
    [("cosine", 0.55, 0.1), ("linear", 0.55, 0.1), ("constant", 1.0, 1.0)],
)
def test_a_schedule_ends_where_it_says(schedule: str, middle: float, last: float) -> None:
    train = Train(steps=100, warmup=0, lr=1.0, min_lr=0.1, schedule=schedule)  # type: ignore[arg-type]
    assert learning_rate(train, 50) == pytest.approx(middle)
    assert learning_rate(train, 100) == pytest.approx(last)


def test_cosine_is_slow_at_both_ends() -> None:
    train = Train(steps=100, warmup=0, lr=1.0, min_lr=0.0)
    assert learning_rate(train, 10) > 0.97
    assert learning_rate(train, 90) < 0.03


# --- stopwatch ---------------------------------------------------------------------------


def test_a_stopwatch_splits_time_by_name_and_adds_laps_of_the_same_name() -> None:
    watch = Stopwatch(torch.device("cpu"))
    for _ in range(2):
        time.sleep(0.02)
        watch.lap("forward")
        time.sleep(0.04)
        watch.lap("backward")
    seconds, split = watch.read()
    assert set(split) == {"forward", "backward"}
    assert split["forward"] >= 0.04
    assert split["backward"] >= 0.08
    assert seconds == pytest.approx(sum(split.values()))


def test_a_stopwatch_starts_anew() -> None:
    watch = Stopwatch(torch.device("cpu"))
    time.sleep(0.05)
    watch.lap("before")
    watch.restart()
    watch.lap("after")
    seconds, split = watch.read()
    assert set(split) == {"after"}
    assert seconds < 0.05
    assert Stopwatch(torch.device("cpu")).read() == (0.0, {})


def test_waiting_for_the_disk_is_a_part_of_its_own_and_taken_out_of_the_others() -> None:
    total = iter([5.0, 5.0, 5.01, 5.01])
    watch = Stopwatch(torch.device("cpu"), lambda: next(total))
    watch.restart()
    time.sleep(0.03)
    watch.lap("optimizer")
    watch.lap("data")
    seconds, split = watch.read()
    assert split["offload"] == pytest.approx(0.01)
    assert split["optimizer"] >= 0.02
    assert seconds == pytest.approx(sum(split.values()))


def test_no_lap_becomes_negative_by_waiting_that_ran_beside_it() -> None:
    total = iter([0.0, 0.0, 9.0])
    watch = Stopwatch(torch.device("cpu"), lambda: next(total))
    watch.restart()
    watch.lap("backward")
    seconds, split = watch.read()
    assert split == {"backward": 0.0, "offload": seconds}


# --- memory ------------------------------------------------------------------------------


def test_a_memory_sample_has_the_process_and_what_the_engine_offloads() -> None:
    before = MemoryGauge(FakeEngine(1), rank=1).sample(7)
    assert (before.rank, before.step) == (1, 7)
    assert (before.host_pinned, before.offload_cpu, before.offload_nvme) == (1, 2, 3)
    assert 10 * 2**20 < before.allocated <= before.peak
    held = torch.ones(64 * 2**20, dtype=torch.uint8)
    after = MemoryGauge(FakeEngine(1), rank=1).sample(8)
    assert after.allocated - before.allocated > 32 * 2**20
    assert after.peak >= after.allocated
    assert held.sum() > 0


def test_what_went_to_disk_is_told_per_second_since_the_sample_before() -> None:
    engine = FakeEngine(0)
    gauge = MemoryGauge(engine, rank=0)
    first = gauge.sample(1)
    assert (first.nvme_read, first.nvme_write, first.offload_wait) == (None, None, None)
    assert (first.nvme_free, first.device_free) == (9, None)
    time.sleep(0.02)
    engine.read += 2**20
    second = gauge.sample(2)
    assert second.nvme_read and 0 < second.nvme_read <= 2**20 / 0.02
    assert second.nvme_write == pytest.approx(2 * second.nvme_read)
    assert second.offload_wait == pytest.approx(second.nvme_read / 2**30)
    assert gauge.sample(3).nvme_read == 0


class SlowDisk:
    """An I/O handle that takes its time when it is waited for."""

    asked = 0

    def async_pread(self, buffer: torch.Tensor, path: str, offset: int) -> int:
        self.asked += 1
        return 0

    async_pwrite = async_pread

    def wait(self) -> int:
        time.sleep(0.02)
        return self.asked

    def is_pinned(self, buffer: torch.Tensor) -> bool:
        return buffer.numel() == 10


def test_traffic_counts_bytes_and_the_time_that_a_rank_stands_still_for_them() -> None:
    traffic, buffer = Traffic(SlowDisk()), torch.zeros(10)
    assert traffic.async_pwrite(buffer, "a", 0) == traffic.async_pread(buffer[:4], "a", 0) == 0
    assert (traffic.read, traffic.written) == (16, 40)
    assert traffic.waited < 0.02
    assert traffic.wait() == 2
    assert 0.02 <= traffic.waited < 10
    assert traffic.is_pinned(buffer) and not traffic.is_pinned(buffer[:4])


# --- failures ----------------------------------------------------------------------------

HERE = Place(rank=3, world=4, local_rank=3, attempt=2, host="node")


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (ConfigError("no such key"), "configuration", "no such key"),
        (NoGoodCheckpoint("none of the 2"), "no-good-checkpoint", "none of the 2"),
        (MemoryError(), "out-of-memory", "MemoryError"),
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB\nmore"),
            "out-of-memory",
            "CUDA out of memory. Tried to allocate 2 GiB",
        ),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9"),
            "out-of-memory",
            "DefaultCPUAllocator: can't allocate memory: you tried to allocate 9",
        ),
        (
            OSError(errno.ENOSPC, "No space left on device"),
            "disk-full",
            "[Errno 28] No space left on device",
        ),
        (OSError(errno.EDQUOT, "Quota exceeded"), "disk-full", "[Errno 122] Quota exceeded"),
        (
            RuntimeError("[../gloo/tcp/pair.cc:534] Connection closed by peer [127.0.0.1]:1"),
            "peer-lost",
            "[../gloo/tcp/pair.cc:534] Connection closed by peer [127.0.0.1]:1",
        ),
        (ValueError("boom\nand more"), "exception", "ValueError: boom"),
        (KeyboardInterrupt(), "exception", "KeyboardInterrupt: KeyboardInterrupt"),
        (RuntimeError("shape mismatch"), "exception", "RuntimeError: shape mismatch"),
    ],
)
def test_a_failure_is_named_with_its_rank_and_advice(
    error: BaseException, kind: str, text: str
) -> None:
    failure = failures.describe(error, HERE)
    assert (failure.kind, failure.text, failure.rank) == (kind, text, 3)
    assert failure.advice.endswith(".")


def test_a_failure_is_one_line_and_not_endless() -> None:
    failure = failures.describe(ValueError("x" * 10_000), HERE)
    assert len(failure.text) < 600
    assert "\n" not in failure.text


def test_a_failure_is_left_whole_in_a_file(tmp_path: Path) -> None:
    failure = failures.describe(ValueError("boom"), HERE)
    failures.leave(failure, tmp_path, HERE)
    file = layout.failure_file(tmp_path, attempt=2, rank=3)
    assert messages.decode_entry(file.read_bytes()) == failure
    assert list(file.parent.iterdir()) == [file]
    assert file.parent.stat().st_mode & 0o777 == 0o700


# --- place -------------------------------------------------------------------------------


def test_a_place_is_what_torchrun_says() -> None:
    environment = {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "ATTEMPT": "2"}
    place = find(environment, "ATTEMPT")
    assert (place.rank, place.world, place.local_rank, place.attempt) == (3, 4, 1, 2)
    assert not place.leads
    assert find(environment | {"RANK": "0"}, "ELSEWHERE").leads


@pytest.mark.parametrize("broken", [{}, {"RANK": "x", "WORLD_SIZE": "1", "LOCAL_RANK": "0"}])
def test_outside_of_torchrun_the_way_to_start_is_told(broken: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"torchrun -m trainer RUN.yaml"):
        find(broken, "ATTEMPT")
