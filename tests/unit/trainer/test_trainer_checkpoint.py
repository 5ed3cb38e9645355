"""Checkpoints: whole or not at all, the newest good one is found, and a bad one is named."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fake_engine import FakeEngine
from trainer_helpers import on_ranks

from trainer.checkpoint import folder as folders
from trainer.checkpoint import manifest as manifests
from trainer.checkpoint.manifest import MANIFEST, BadCheckpoint, Manifest
from trainer.checkpoint.random_state import restore_random_state, save_random_state
from trainer.checkpoint.restore import NoGoodCheckpoint, newest_good
from trainer.checkpoint.save import CheckpointFailed, Position, Saved, save
from trainer.contract import messages
from trainer.keeper import Keeper
from trainer.store import Store

Stores = Callable[[int], list[Store]]
WORLD = 2


def position(step: int, **knobs: float) -> Position:
    return Position(step, step * 100, step * 4, {"lr_scale": 1.0} | knobs, {"torch": "2"})


class Collected:
    """A reporter that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def send(self, message: Any) -> None:
        self.told.append(message)

    def states(self) -> list[tuple[str, int]]:
        return [(m.state, m.step) for m in self.told if isinstance(m, messages.Checkpoint)]


class Run:
    """Two ranks, their engines and their keepers, over one folder of checkpoints."""

    def __init__(self, folder: Path, make_stores: Stores, keep: int = 0) -> None:
        self.folder, self._keep, self._make = folder, keep, make_stores
        self.restart()

    def restart(self, world: int = WORLD) -> None:
        """New processes with a new store, as a launch of torchrun has them."""
        self.world = world
        self.stores = self._make(world)
        self.engines = [FakeEngine(rank, self.state_of(rank, 0)) for rank in range(world)]
        self.reporters = [Collected() for _ in range(world)]
        self.keepers = [
            Keeper(self.folder, self._keep, self.engines[r], self.stores[r], self.reporters[r])
            for r in range(world)
        ]

    @staticmethod
    def state_of(rank: int, step: int) -> bytes:
        return random.Random(f"{rank} {step}").randbytes(20_000)

    def save(self, step: int, **knobs: float) -> list[Any]:
        for rank, engine in enumerate(self.engines):
            engine.state = self.state_of(rank, step)
        return on_ranks(self.world, lambda rank: self.keepers[rank].save(position(step, **knobs)))

    def restore(self) -> list[Any]:
        """Each rank's step, None, or exception."""
        found = on_ranks(self.world, lambda rank: self.keepers[rank].restore())
        return [each[1].step if isinstance(each, tuple) else each for each in found]

    def path(self, step: int) -> Path:
        return folders.path(self.folder, step)

    def names(self) -> list[str]:
        return sorted(entry.name for entry in self.folder.iterdir())

    @property
    def told(self) -> list[tuple[str, int]]:
        return self.reporters[0].states()

    def rejected(self) -> dict[int, str]:
        return {
            m.step: m.reason
            for m in self.reporters[0].told
            if isinstance(m, messages.Checkpoint) and m.state == "rejected"
        }


@pytest.fixture
def run(tmp_path: Path, stores: Stores) -> Run:
    return Run(tmp_path / "checkpoints", stores)


# --- saved and found again ---------------------------------------------------------------


def test_what_was_saved_is_restored_on_every_rank(run: Run) -> None:
    assert run.save(5) == [None, None]
    run.restart()
    assert run.restore() == [5, 5]
    assert [engine.state for engine in run.engines] == [run.state_of(0, 5), run.state_of(1, 5)]
    assert run.told == [("verified", 5), ("restored", 5)]


def test_a_new_run_has_nothing_to_restore(run: Run) -> None:
    assert run.restore() == [None, None]
    assert run.told == []


def test_a_checkpoint_says_all_about_itself(run: Run) -> None:
    run.save(5, lr_scale=0.5)
    manifest = manifests.read(run.path(5))
    assert (manifest.step, manifest.tokens, manifest.data_cursor) == (5, 500, 20)
    assert (manifest.world, manifest.knobs) == (2, {"lr_scale": 0.5})
    assert sorted(manifest.files) == [
        *("engine/rank0.bin", "engine/rank0.pt", "engine/rank1.bin", "engine/rank1.pt"),
        *("random_rank_00000.pt", "random_rank_00001.pt"),
    ]
    on_disk = sum(f.stat().st_size for f in run.path(5).rglob("*") if f.is_file())
    assert manifest.bytes == on_disk - (run.path(5) / MANIFEST).stat().st_size
    saved = next(m for m in run.reporters[0].told if m.state == "saved")
    assert (saved.bytes, saved.path) == (manifest.bytes, str(run.path(5)))


def test_latest_points_to_the_newest_and_nothing_half_made_stays(run: Run) -> None:
    for step in (5, 10):
        run.save(step)
    assert run.names() == ["latest", "step-00000005", "step-00000010"]
    assert (run.folder / "latest").readlink() == Path("step-00000010")
    assert run.path(10).stat().st_mode & 0o777 == 0o700


def test_the_newest_of_several_is_chosen_by_its_number(run: Run) -> None:
    for step in (9, 100_000_000, 10):
        run.save(step)
    run.restart()
    assert run.restore() == [100_000_000] * 2


def test_a_second_save_of_the_same_step_leaves_the_first(run: Run) -> None:
    run.save(5)
    before = (run.path(5) / MANIFEST).stat()
    assert run.save(5) == [None, None]
    after = (run.path(5) / MANIFEST).stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert run.told == [("started", 5), ("saved", 5)] * 2


def test_a_save_right_after_a_restore_leaves_what_was_restored(run: Run) -> None:
    run.save(5)
    run.restart()
    run.restore()
    before = run.path(5).stat().st_ino
    run.save(5)
    assert run.path(5).stat().st_ino == before


def test_a_live_knob_turned_since_is_saved_with_the_same_step(run: Run) -> None:
    run.save(5)
    assert run.save(5, lr_scale=0.25) == [None, None]
    assert manifests.read(run.path(5)).knobs == {"lr_scale": 0.25}
    assert run.names() == ["latest", "step-00000005"]


# --- damage ------------------------------------------------------------------------------


def flip(file: Path, place: int) -> None:
    content = bytearray(file.read_bytes())
    content[place] ^= 0x01
    file.write_bytes(content)


def truncate(checkpoint: Path) -> None:
    file = checkpoint / "engine/rank1.bin"
    file.write_bytes(file.read_bytes()[:-1])


def rename_in_manifest(checkpoint: Path) -> None:
    file = checkpoint / MANIFEST
    file.write_text(file.read_text().replace('"tokens": 1000', '"tokens": 1001'))


def tear_manifest(checkpoint: Path) -> None:
    file = checkpoint / MANIFEST
    file.write_bytes(file.read_bytes()[:100])


def other_format(checkpoint: Path) -> None:
    file = checkpoint / MANIFEST
    file.write_text(file.read_text().replace('"format": 1', '"format": 99'))


def become_a_file(checkpoint: Path) -> None:
    shutil.rmtree(checkpoint)
    checkpoint.write_bytes(b"")


def lose_all_files(checkpoint: Path) -> None:
    for entry in checkpoint.iterdir():
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated file": (truncate, "engine/rank1.bin has 19999 bytes, not 20000"),
    "flipped bit in rank 0's share": (
        lambda path: flip(path / "engine/rank0.bin", 777),
        "engine/rank0.bin does not match its checksum",
    ),
    "flipped bit in rank 1's share": (
        lambda path: flip(path / "engine/rank0.pt", 1000),
        "engine/rank0.pt does not match its checksum",
    ),
    "missing file": (
        lambda path: (path / "random_rank_00001.pt").unlink(),
        "random_rank_00001.pt is missing",
    ),
    "missing manifest": (
        lambda path: (path / MANIFEST).unlink(),
        "it has no manifest: it was not finished",
    ),
    "half-written manifest": (tear_manifest, "its manifest is damaged"),
    "changed number in the manifest": (rename_in_manifest, "its manifest is damaged"),
    "empty manifest": (
        lambda path: (path / MANIFEST).write_bytes(b""),
        "its manifest is damaged",
    ),
    "manifest of bytes": (
        lambda path: (path / MANIFEST).write_bytes(b"\xff\x00" * 50),
        "its manifest is damaged",
    ),
    "manifest that is a folder": (
        lambda path: ((path / MANIFEST).unlink(), (path / MANIFEST).mkdir()),
        "its manifest cannot be read: Is a directory",
    ),
    "another format": (other_format, "it has format 99, this version reads 1"),
    "a file instead of a folder": (become_a_file, "its manifest cannot be read: Not a directory"),
    "an empty folder": (lose_all_files, "it has no manifest: it was not finished"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_checkpoint_is_named_and_passed_over(run: Run, kind: str) -> None:
    run.save(5)
    run.save(10)
    damage, reason = DAMAGE[kind]
    damage(run.path(10))
    run.restart()
    assert run.restore() == [5, 5]
    assert run.rejected() == {10: reason}
    assert run.told == [("rejected", 10), ("verified", 5), ("restored", 5)]
    assert [engine.state for engine in run.engines] == [run.state_of(0, 5), run.state_of(1, 5)]


def test_every_flipped_bit_of_a_manifest_is_noticed_or_changes_nothing(run: Run) -> None:
    run.save(10)
    file = run.path(10) / MANIFEST
    whole, content = manifests.read(run.path(10)), file.read_bytes()
    for place in random.Random(0).sample(range(len(content)), 300):
        flip(file, place)
        with contextlib.suppress(BadCheckpoint):
            assert manifests.read(run.path(10)) == whole
        file.write_bytes(content)


def test_what_a_killed_process_left_is_not_taken_and_is_tidied_up(run: Run) -> None:
    run.save(5)
    shutil.copytree(run.path(5), run.folder / ".writing-step-00000010")
    shutil.copytree(run.path(5), run.folder / ".pruned-step-00000004")
    shutil.copytree(run.path(5), run.folder / ".replaced-step-00000005")
    (run.folder / ".latest-step-00000005").symlink_to("step-00000005")
    (run.folder / "notes.txt").write_text("mine")
    run.restart()
    assert run.restore() == [5, 5]
    assert run.names() == ["latest", "notes.txt", "step-00000005"]


def test_a_checkpoint_that_was_being_replaced_when_all_was_killed_is_put_back(run: Run) -> None:
    run.save(5)
    run.path(5).rename(run.folder / ".replaced-step-00000005")
    run.restart()
    assert run.restore() == [5, 5]


def test_a_checkpoint_of_another_number_of_ranks_is_named_and_kept(run: Run) -> None:
    run.save(5)
    run.restart(world=1)
    (error,) = run.restore()
    assert isinstance(error, NoGoodCheckpoint)
    assert run.rejected() == {5: "it was written by 2 ranks, there are 1 now"}
    run.restart()
    assert run.restore() == [5, 5]


def test_if_all_are_bad_every_rank_says_so_and_nothing_is_removed(run: Run) -> None:
    for step in (5, 10):
        run.save(step)
        truncate(run.path(step))
    for _ in range(2):  # nor does the next attempt start over by itself
        run.restart()
        errors = run.restore()
        assert all(isinstance(error, NoGoodCheckpoint) for error in errors)
        assert f"none of the 2 checkpoints in {run.folder} can be used" in str(errors[0])
        assert list(run.rejected()) == [10, 5]
        assert [engine.loads for engine in run.engines] == [0, 0]
    assert run.names() == ["latest", "step-00000005", "step-00000010"]


def test_a_step_whose_checkpoint_was_bad_is_written_anew(run: Run) -> None:
    run.save(5)
    run.save(10)
    flip(run.path(10) / "engine/rank0.bin", 777)  # of the right size: only its checksum tells
    run.restart()
    run.restore()
    assert run.save(10) == [None, None]
    run.restart()
    assert run.restore() == [10, 10]
    assert run.names() == ["latest", "step-00000005", "step-00000010"]


# --- pruning -----------------------------------------------------------------------------


def test_only_the_newest_stay(tmp_path: Path, stores: Stores) -> None:
    run = Run(tmp_path / "checkpoints", stores, keep=2)
    for step in (1, 2, 3, 4):
        run.save(step)
    assert run.names() == ["latest", "step-00000003", "step-00000004"]
    assert [told for told in run.told if told[0] == "pruned"] == [("pruned", 1), ("pruned", 2)]


def test_to_keep_none_is_to_keep_all(run: Run) -> None:
    for step in (1, 2, 3, 4):
        run.save(step)
    assert len(folders.complete(run.folder)) == 4


def test_bad_checkpoints_never_push_good_ones_out(tmp_path: Path, stores: Stores) -> None:
    run = Run(tmp_path / "checkpoints", stores, keep=2)
    for step in (5, 10):
        run.save(step)
    run._keep = 4
    run.restart()
    for step in (20, 30):
        run.save(step)
        flip(run.path(step) / "engine/rank0.bin", 3)
    run._keep = 2
    run.restart()
    assert run.restore() == [10, 10]
    run.save(12)
    assert [step for step, _ in folders.complete(run.folder)] == [30, 20, 12, 10]
    run.save(25)  # past the first bad one, which goes
    assert [step for step, _ in folders.complete(run.folder)] == [30, 25, 12]
    run.restart()
    assert run.restore() == [25, 25]


# --- what cannot be written --------------------------------------------------------------


def fails(error: Exception) -> Callable[[Path], None]:
    def fail(folder: Path) -> None:
        (folder / "half.bin").write_bytes(b"half")
        raise error

    return fail


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
        (PermissionError(errno.EACCES, "Permission denied"), "Permission denied"),
        (RuntimeError("the writer broke\nat 0x1234"), "the writer broke"),
        (ValueError(), "ValueError"),
    ],
)
def test_a_rank_that_cannot_write_fails_the_checkpoint_on_all_and_leaves_nothing(
    run: Run, rank: int, error: Exception, words: str
) -> None:
    run.save(5)
    before = manifests.read(run.path(5))
    run.engines[rank]._before_save = fails(error)
    reason = f"rank {rank} could not write: {words}"
    assert run.save(10) == [reason, reason]
    assert run.names() == ["latest", "step-00000005"]
    assert manifests.read(run.path(5)) == before
    assert run.told[2:] == [("started", 10), ("failed", 10)]
    failure = run.reporters[0].told[-1]
    assert (failure.kind, failure.rank) == ("checkpoint-failed", None)
    assert reason in failure.text
    run.engines[rank]._before_save = lambda folder: None
    assert run.save(10) == [None, None], "the next one works"


def test_a_folder_that_cannot_be_made_fails_the_checkpoint_on_all(run: Run) -> None:
    run.folder.parent.mkdir(exist_ok=True)
    run.folder.write_text("in the way")
    reasons = run.save(5)
    assert reasons[0] == reasons[1]
    assert reasons[0].startswith(f"cannot write to {run.folder}: ")


def test_a_checkpoint_that_will_not_fit_is_not_begun(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.save(5)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(10, 9, 1))
    reasons = run.save(10)
    assert reasons == [f"0.1 MB needed in {run.folder}, 0.0 MB free"] * 2
    assert run.names() == ["latest", "step-00000005"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of two megabytes."""
    mounted = tmp_path / "disk"
    mounted.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(mounted)]
    if not shutil.which("mount") or subprocess.run(command, check=False).returncode:
        pytest.skip("mounting is not permitted here")
    yield mounted
    subprocess.run(["umount", "-l", str(mounted)], check=True)


@pytest.mark.parametrize("free", [5_000, 30_000, 60_000])
def test_a_full_disk_is_told_and_harms_nothing(small_disk: Path, stores: Stores, free: int) -> None:
    run = Run(small_disk / "checkpoints", stores)
    run.save(5)
    # Room for the checkpoint as far as the last one tells, but this one is bigger.
    run.state_of = lambda rank, step: random.Random(f"{rank} {step}").randbytes(200_000)  # type: ignore[method-assign]
    with (small_disk / "ballast").open("wb") as ballast:
        left = shutil.disk_usage(small_disk).free - 150_000 - free
        ballast.write(b"\0" * left)
    reasons = run.save(10)
    assert reasons[0] == reasons[1]
    assert "No space left on device" in reasons[0]
    assert run.names() == ["latest", "step-00000005"]
    (small_disk / "ballast").unlink()
    assert run.save(10) == [None, None]
    run.restart()
    assert run.restore() == [10, 10]


def test_a_disk_that_is_full_when_torch_writes_is_told_in_plain_words(
    small_disk: Path, stores: Stores
) -> None:
    run = Run(small_disk / "checkpoints", stores)
    for engine in run.engines:
        engine._before_save = lambda folder: torch.save(torch.zeros(10**6), folder / "big.pt")
    reasons = run.save(5)
    assert reasons[0] == reasons[1]
    assert "a file could not be written to its end, " in reasons[0]
    assert run.names() == []


# --- killed ------------------------------------------------------------------------------


def test_a_process_killed_at_any_moment_leaves_no_checkpoint_that_is_not_whole(
    tmp_path: Path, stores: Stores
) -> None:
    folder, size, chance, promised = tmp_path / "checkpoints", 300_000, random.Random(1), 0
    script = Path(__file__).with_name("saver_process.py")
    forks = subprocess.Popen(
        [sys.executable, str(script), str(folder), str(size)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert forks.stdin and forks.stdout
    try:
        for number in range(30):
            forks.stdin.write(f"{promised + 1}\n")
            forks.stdin.flush()
            saver = int(forks.stdout.readline())
            told = [forks.stdout.readline()] if number % 3 else []
            time.sleep(chance.uniform(0, 0.05))
            os.kill(saver, signal.SIGKILL)
            told += iter(forks.stdout.readline, "dead\n")
            promised = check_all_are_whole(folder, size, stores, told)
    finally:
        forks.kill()
        forks.wait()
    assert promised > 10


def check_all_are_whole(folder: Path, size: int, stores: Stores, told: list[str]) -> int:
    """The step that restore takes: the newest there is, with everything that was promised."""
    (store,) = stores(1)
    rejected: list[Any] = []
    found = newest_good(folder, store, lambda *what: rejected.append(what))
    assert rejected == []
    steps = [step for step, _ in folders.complete(folder)]
    assert all(int(step) in steps for step in told)
    for step, path in folders.complete(folder):
        assert (path / "engine/rank0.bin").read_bytes() == bytes([step % 256]) * size
        manifest = manifests.read(path)
        manifests.check_sizes(path, manifest)
        manifests.check_contents(path, manifest, manifest.files)
    assert not list(folder.glob(".*")), "tidied up"
    if found is None:
        return 0
    assert found[1].step == max(steps)
    return found[1].step


# --- the parts ---------------------------------------------------------------------------


def test_save_and_restore_are_functions_of_the_folder_alone(tmp_path: Path, stores: Stores) -> None:
    made = stores(2)

    def part(rank: int) -> Saved:
        return save(tmp_path, position(3), FakeEngine(rank, b"x"), made[rank], "save")

    one, two = on_ranks(2, part)
    assert one == two
    assert one.path == str(tmp_path / "step-00000003")


def test_a_failed_save_is_the_same_error_on_all_ranks(tmp_path: Path, stores: Stores) -> None:
    made = stores(2)

    def part(rank: int) -> Saved:
        engine = FakeEngine(rank, before_save=fails(OSError(28, "full")))
        return save(tmp_path, position(3), engine, made[rank], "save")

    one, two = on_ranks(2, part)
    assert isinstance(one, CheckpointFailed)
    assert str(one) == str(two) == "rank 0 could not write: full; rank 1 could not write: full"


def test_only_whole_names_are_checkpoints(tmp_path: Path) -> None:
    for name in ("step-00000001", "step-1", "step-00000002.bak", ".step-00000003", "latest"):
        (tmp_path / name).mkdir()
    (tmp_path / "step-123456789").mkdir()
    assert [step for step, _ in folders.complete(tmp_path)] == [123456789, 1]
    assert folders.complete(tmp_path / "none") == []


def test_manifest_survives_its_file(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "data").write_bytes(b"abc")
    files = {name: manifests.describe(tmp_path / name) for name in manifests.files_below(tmp_path)}
    assert list(files) == ["sub/data"]
    assert files["sub/data"].size == 3
    written = Manifest(
        step=1, tokens=2, data_cursor=3, world=4, files=files,
        knobs={"a": 0.1}, versions={"b": "c"}, created=time.time(),
    )  # fmt: skip
    manifests.write(tmp_path, written)
    assert manifests.read(tmp_path) == written


def test_random_states_go_on_where_they_were(tmp_path: Path) -> None:
    def draw() -> list[float]:
        return [random.random(), float(np.random.rand()), float(torch.rand(())), random.gauss(0, 1)]

    random.gauss(0, 1)  # leaves a second value behind, which is part of the state
    np.random.randn()
    save_random_state(tmp_path, rank=3)
    wanted = [draw() for _ in range(3)]
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    restore_random_state(tmp_path, rank=3)
    assert [draw() for _ in range(3)] == wanted
