"""A disk that is full costs no run and no checkpoint."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.desk import SMALL, Desk


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system that holds two checkpoints of the small model, not three."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(folder)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("mounting a small disk is not permitted here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_the_run_goes_on_and_says_so_and_waits_at_the_end(small_disk: Path) -> None:
    desk = Desk(small_disk / "runs")
    run = desk.start("tiny", *SMALL, "train.steps=12", "checkpoint.every=3", "checkpoint.keep=0")
    failed = run.until_entry("checkpoint", state="failed")
    assert failed["step"] == 9 and failed["reason"]
    failure = run.until_entry("failure", kind="checkpoint-failed")
    assert "goes on" in failure["advice"]
    run.until_step(12)
    waiting = run.until_entry("phase", phase="paused")
    assert "could not be written" in waiting["detail"]
    names = {path.name for path in (run.path / "checkpoints").iterdir()}
    assert names == {"step-00000003", "step-00000006", "latest"}

    for path in (run.path / "checkpoints" / "step-00000003").rglob("*.pt"):
        path.unlink()  # somebody frees space
    run.type("checkpoint", "--wait")
    run.type("resume")
    run.until_ended("done")
    assert (run.path / "checkpoints" / "step-00000012" / "manifest.json").is_file()
    assert not desk.end_everything()
