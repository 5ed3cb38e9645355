"""Keeping the index of the journal while a run goes on. It reads what the journal's file holds, so
it has no part in writing the journal; and what it cannot do is left to whoever opens the run."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from cockpit.runs import Run
from cockpit.supervisor.notes import note
from cockpit.supervisor.writer import JournalWriter

if TYPE_CHECKING:
    from cockpit.index.build import Indexer

EVERY = 5.0
PIECE = 2**20
"""Bytes of the journal that make a block; what comes after the last block is parsed by whoever
opens the run."""
_AFTER_A_FAILURE = 60.0
_SHORT = 2**18
"""Bytes of a journal that is read faster than an index is opened."""


class IndexKeeper:
    """Indexes what the writer has written, in a thread."""

    def __init__(self, run: Run, journal: JournalWriter) -> None:
        self._run, self._journal = run, journal
        self._indexer: Indexer | None = None
        self._end = 0
        self._failed = False

    async def keep(self) -> None:
        """Until cancelled; without the disk's help, without an index."""
        while True:
            await asyncio.sleep(_AFTER_A_FAILURE if self._failed else EVERY)
            while await self._advance(PIECE):  # noqa: ASYNC110 - work, not waiting
                await asyncio.sleep(0.2)

    async def finish(self, patience: float) -> None:
        """The rest, now that the run is over, as far as that takes no longer than this."""
        deadline = time.monotonic() + patience
        if self._journal.size >= _SHORT:
            while time.monotonic() < deadline and await self._advance(1):
                pass

    async def _advance(self, least: int) -> bool:
        if self._journal.refusal is not None or self._journal.size - self._end < least:
            return False
        try:
            more = await asyncio.to_thread(self._work, self._journal.size, least)
        except (OSError, ValueError, MemoryError) as error:
            if not self._failed:
                note(f"index: {error}; runs of many steps open more slowly without")
            self._failed = True
            if self._indexer is not None:
                self._indexer.close()
            return False
        self._failed = False
        return more

    def _work(self, size: int, least: int) -> bool:
        if self._indexer is None:
            # Numpy is not worth its time and memory before there is something to index.
            from cockpit.index.build import Indexer  # noqa: PLC0415

            self._indexer = Indexer(self._run.journal, self._run.index)
        more = self._indexer.advance(size, least)
        self._end = self._indexer.end
        return more
