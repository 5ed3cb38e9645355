"""The history of a long run that has no index: it is made by a process of its own, so that no key
waits, and the steps are shown as they are found. No Textual here."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from cockpit import runs
from cockpit.index.read import Index, StepBlock
from cockpit.runs import Run

LOOK_EVERY = 0.4


async def fill(
    run: Run, upto: int, known: Index, found: Callable[[list[StepBlock]], None]
) -> Index | None:
    """Make the index of the lines before byte `upto` of the journal, and hand its blocks to
    `found` as they come, those that were known before left out. It is left beside the journal, if
    the folder takes it. Returns it, or None where it could not be made."""
    path, kept = _place(run)
    index = Index(run.journal, path)
    try:
        await asyncio.to_thread(_start_from, run, path)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "cockpit.index", str(run.journal), str(path), str(upto),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        try:
            await _follow(process, index, known.end, found)
        finally:
            await _ended(process)
        if process.returncode == 0 and kept and not _kept_by_supervisor(run):
            path.replace(run.index)
    except OSError:
        return None
    finally:
        path.unlink(missing_ok=True)  # whoever has it open can go on reading it
        if not kept:
            with contextlib.suppress(OSError):
                path.parent.rmdir()
    return index if index.end >= upto else None


async def _follow(
    process: asyncio.subprocess.Process,
    index: Index,
    start: int,
    found: Callable[[list[StepBlock]], None],
) -> None:
    ended = asyncio.ensure_future(process.wait())
    while True:
        done, _ = await asyncio.wait({ended}, timeout=LOOK_EVERY)
        blocks = await asyncio.to_thread(index.refresh)
        if new := [block for block in blocks if block.start >= start]:
            found(new)
        if done:
            return


async def _ended(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        if process.returncode is None:
            process.kill()
        await process.wait()


def _place(run: Run) -> tuple[Path, bool]:
    """A name for the new index, and whether it is beside the journal, where it can stay."""
    name = f".{run.index.name}.{os.getpid()}.new"
    if os.access(run.path, os.W_OK):
        return run.index.with_name(name), True
    return Path(tempfile.mkdtemp(prefix="l4cockpit-")) / name, False


def _start_from(run: Run, path: Path) -> None:
    """Begin with what there is."""
    with contextlib.suppress(OSError):
        shutil.copyfile(run.index, path)
        path.chmod(0o600)


def _kept_by_supervisor(run: Run) -> bool:
    """Whether a supervisor is at work on the index itself."""
    return run.index.exists() and runs.supervisor_alive(runs.supervisor_info(run))
