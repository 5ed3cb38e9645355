"""A compilation that was killed does not hold up the next start for ever."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from trainer.stale_locks import remove_stale_locks

BUILDER = """
import sys
from torch.utils.file_baton import FileBaton
baton = FileBaton(sys.argv[1])
assert baton.try_acquire()
print("building", flush=True)
sys.stdin.read()
"""


def builder(lock: Path) -> subprocess.Popen[str]:
    """A process that holds a lock as torch does while it builds."""
    process = subprocess.Popen(
        [sys.executable, "-c", BUILDER, str(lock)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout and process.stdout.readline() == "building\n"
    return process


def test_the_lock_of_a_killed_builder_goes_and_that_of_a_living_one_stays(tmp_path: Path) -> None:
    dead, alive = tmp_path / "py311_cpu" / "async_io" / "lock", tmp_path / "shm_comm" / "lock"
    for lock in (dead, alive):
        lock.parent.mkdir(parents=True)
    killed, building = builder(dead), builder(alive)
    try:
        assert remove_stale_locks(tmp_path) == []
        killed.kill()
        killed.wait()
        assert remove_stale_locks(tmp_path) == [dead]
        assert alive.exists() and not dead.exists()
    finally:
        for process in (killed, building):
            process.kill()
            process.communicate()


def test_a_folder_that_is_not_there_is_no_trouble(tmp_path: Path) -> None:
    assert remove_stale_locks(tmp_path / "nowhere") == []
