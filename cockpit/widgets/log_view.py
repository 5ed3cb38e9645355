"""Which lines of a log are seen, and where the cursor is. No Textual here."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from cockpit.logbook import DEBUG, ERROR, INFO, LEVELS, WARNING, Kept, Line, found
from cockpit.widgets.render_logs import LogShown

_NEXT = {DEBUG: WARNING, INFO: WARNING, WARNING: ERROR, ERROR: DEBUG}


class LogView:
    """The lines that are kept of those held; following, the cursor is on the last."""

    def __init__(self) -> None:
        self.kept = Kept()
        self.query = ""
        self.following = True
        self.shift = 0
        """Columns that are scrolled off to the left."""
        self.lines: list[Line] = []
        self._held: Sequence[Line] = ()
        self._ranks: list[int] = []
        self._at = 0
        self._top = 0  # the offset of the line in the first row

    @property
    def at(self) -> int:
        """The index of the line under the cursor."""
        return self._at

    @property
    def offset(self) -> int:
        """Where the line under the cursor begins in the file."""
        return self.lines[self._at].offset if self.lines else 0

    def take(self, held: Sequence[Line]) -> None:
        """What is held has changed; the cursor stays on its line, or the nearest after it."""
        offset = self.offset
        self._held = held
        self._ranks = sorted({*self._ranks, *(line.rank for line in held if line.rank is not None)})
        self._keep(offset)

    def _keep(self, offset: int) -> None:
        self.lines = self.kept.of(self._held)
        self.to(offset)

    def to(self, offset: int) -> None:
        """Put the cursor on the line that begins at a place, or the first after it."""
        last = max(len(self.lines) - 1, 0)
        self._at = last if self.following else min(self._index(offset), last)

    def _index(self, offset: int) -> int:
        return bisect_left(self.lines, offset, key=lambda line: line.offset)

    def move(self, by: int) -> bool:
        """The cursor by some lines, following no more; whether it met the end of what is held."""
        self.following = False
        wanted = self._at + by
        self._at = max(0, min(wanted, len(self.lines) - 1))
        return wanted != self._at

    def go(self, index: int) -> None:
        """The cursor onto a line."""
        self.following = False
        self._at = index

    def find(self, by: int, near: int | None = None) -> bool:
        """The cursor onto the next line with the query, or the one before: from the cursor, or
        from the line at a place on, this one included. Whether there is one among those held."""
        at = self._at
        if near is not None:
            at = self._index(near) - by
        hit = found(self.lines, self.query, at, by) if self.query else None
        if hit is not None:
            self.go(hit)
        return hit is not None

    def next_level(self) -> str:
        """Warnings and worse, then errors, then all again; which it is now."""
        self.kept = self.kept._replace(level=_NEXT[self.kept.level])
        self._keep(self.offset)
        return LEVELS[self.kept.level]

    def next_rank(self, by: int = 1) -> str:
        """The lines of the next rank alone, of torchrun, of all again; which it is now."""
        choices: list[int | None] = [None, *self._ranks, -1]
        at = choices.index(self.kept.rank) if self.kept.rank in choices else 0
        self.kept = self.kept._replace(rank=choices[(at + by) % len(choices)])
        self._keep(self.offset)
        return rank_name(self.kept.rank)

    def show_all(self) -> None:
        """No filter."""
        self.kept = Kept()
        self._keep(self.offset)

    def shown(self, height: int, size: int, end: int) -> LogShown:
        """What is to be drawn in so many rows; size is that of the file, end where what is held
        of it ends."""
        rows = max(height - 1, 1)
        top = self._first(rows)
        self._top = self.lines[top].offset if self.lines else 0
        parts = [] if self.kept.rank is None else [rank_name(self.kept.rank)]
        parts += [LEVELS[self.kept.level]] if self.kept.level else []
        parts += [f"/{self.query}"] if self.query else []
        behind = "following" if self.following and end >= size else f"{_percent(self, size)} %"
        return LogShown(
            self.lines[top : top + rows], None if self.following else self._at - top,
            " · ".join(parts), behind, self.query, self.shift,
        )  # fmt: skip

    def _first(self, rows: int) -> int:
        """The line in the first row: as before while the cursor is seen, else so that it is."""
        last = len(self.lines)
        top = last - rows if self.following else self._index(self._top)
        if not top - rows < self._at < top + 2 * rows:
            top = self._at - rows // 2
        top = min(max(top, self._at - rows + 1), self._at)
        return max(0, min(top, last - rows))


def _percent(view: LogView, size: int) -> int:
    at_end = view.lines and view.at == len(view.lines) - 1
    return 100 if not size or at_end else int(100 * view.offset / size)


def rank_name(rank: int | None) -> str:
    """Whose lines."""
    if rank is None:
        return "all ranks"
    return "torchrun" if rank < 0 else f"rank {rank}"
