"""Lines out of a stream of bytes, whatever is sent."""

from __future__ import annotations


class LineBuffer:
    """Cuts what was read into lines. A line longer than `limit` is skipped and counted, so that
    no sender can fill the memory."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._held = 0
        self._skipping = False
        self.skipped = 0

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that end in this data, without their newlines, empty ones left out."""
        *ends, rest = data.split(b"\n")
        lines: list[bytes] = []
        for end in ends:
            self._hold(end)
            if not self._skipping and self._held:
                lines.append(b"".join(self._parts))
            self._forget()
            self._skipping = False
        self._hold(rest)
        return lines

    def _hold(self, part: bytes) -> None:
        if self._skipping or not part:
            return
        if self._held + len(part) > self._limit:
            self._forget()
            self._skipping = True
            self.skipped += 1
            return
        self._parts.append(part)
        self._held += len(part)

    def _forget(self) -> None:
        self._parts.clear()
        self._held = 0
