"""Who holds the controls of a run: at most one of the clients that obey them.

Those are the cockpits. A client that never said a word about controls (a one-shot command, a
cockpit of an older version) is not bound: what it sends is an explicit order of the same user.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

PATIENCE = 15.0
"""Seconds that a holder has to answer who asks: it may be a terminal that somebody left open at
another desk."""

K = TypeVar("K", bound=Hashable)


class Controls(Generic[K]):
    """Pure: times are the caller's, monotonic."""

    def __init__(self) -> None:
        self.holder: K | None = None
        self.asking: dict[K, float] = {}
        """Who asks, in order, and when the controls pass to them at the latest."""
        self.bound: set[K] = set()
        """The clients that obey."""

    def want(self, who: K) -> None:
        """Take them if they are free."""
        self.bound.add(who)
        if self.holder is None:
            self._pass(who, 0.0)

    def watch(self, who: K) -> None:
        """Obey, and want nothing."""
        self.bound.add(who)

    def ask(self, who: K, now: float) -> None:
        """Have them when it is one's turn."""
        self.want(who)
        if who != self.holder:
            self.asking.setdefault(who, now + PATIENCE)

    def give(self, who: K, now: float) -> None:
        """The holder passes them to the first who asks, or sets them free."""
        if who == self.holder:
            self._next(now)

    def keep(self, who: K) -> list[K]:
        """The holder refuses; those who asked."""
        if who != self.holder:
            return []
        refused = list(self.asking)
        self.asking.clear()
        return refused

    def left(self, who: K, now: float) -> None:
        """A client has gone."""
        self.bound.discard(who)
        self.asking.pop(who, None)
        if who == self.holder:
            self._next(now)

    def look(self, now: float) -> bool:
        """Pass them on if the holder has not answered in time; whether that happened."""
        if not self.asking or now < next(iter(self.asking.values())):
            return False
        self._next(now)
        return True

    def may(self, who: K) -> bool:
        """Whether an order of this client is followed. If they are free, it takes them by it."""
        if who in self.bound:
            self.want(who)
        return who not in self.bound or who == self.holder

    def _next(self, now: float) -> None:
        self._pass(next(iter(self.asking), None), now)

    def _pass(self, to: K | None, now: float) -> None:
        """The others ask the new holder, who has time to answer as well."""
        self.holder = to
        self.asking = {who: now + PATIENCE for who in self.asking if who != to}
