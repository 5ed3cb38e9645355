"""Answers what the expert heatmap asks about the past, from the journal, away from the screen's own
thread. No Textual here but the widget it gives the answers to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import numpy as np
import numpy.typing as npt

from cockpit.archive import Archive, Frames
from cockpit.decimate import domain_end
from cockpit.loads import Kind, Load, Movement
from cockpit.runs import Run
from cockpit.widgets.heatmap import ExpertHeatmap, Past, Scrub
from cockpit.widgets.render_layer import LayerHistory
from cockpit.widgets.render_pointer import Moment

AT_ONCE = 64
"""Entries that are read between two drawings of a layer's history."""


class ExpertHistory:
    """Where one looks in the run, and what was there. One reading runs at a time; what is asked
    for meanwhile is answered after it, the newest wish alone."""

    def __init__(
        self,
        run: Run,
        shown: ExpertHeatmap,
        total: Callable[[], int],
        start: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        self._shown, self._total, self._start = shown, total, start
        self._archive = Archive(run.journal, run.index)
        self._frames: dict[Kind, Frames] = {}
        self._scrubs: list[Scrub] = []
        self._step: int | None = None
        """The step one looks at; None is live."""
        self._busy = self._again = False

    def ask(self, scrub: Scrub | None) -> None:
        """Look elsewhere, or, for None, at another layer or quantity."""
        if scrub is not None:
            self._scrubs.append(scrub)
        self._go()

    def grew(self) -> None:
        """The run has new values: a history that is on the screen grows with them."""
        if self._shown.open_layer is not None:
            self._go()

    def _go(self) -> None:
        self._again = True
        if not self._busy:
            self._busy = True
            self._start(self._answer())

    async def _answer(self) -> None:
        try:
            while self._again:
                self._again = False
                while not await asyncio.to_thread(self._archive.scan):
                    self._shown.show_reading(self._archive.progress)
                await self._moment()
                await self._layer()
        finally:
            self._busy = False

    async def _moment(self) -> None:
        kind = self._shown.kind
        steps = self._archive.steps(kind)
        scrubs, self._scrubs = self._scrubs, []
        for scrub in scrubs:
            self._step = next_step(steps, self._step, scrub)
        if self._step is None or not len(steps):
            self._step = None
            if self._shown.past is not None or scrubs:
                self._shown.show_past(None)
            return
        at = index_of(steps, self._step)
        read = self._archive.load if kind == "experts" else self._archive.movement
        source: Load | Movement | None = await asyncio.to_thread(read, at)
        if source is not None and kind == self._shown.kind:
            moment = Moment(int(steps[at]), int(steps[-1]))
            self._shown.show_past(Past(source, moment))

    async def _layer(self) -> None:
        kind, layer = self._shown.kind, self._shown.open_layer
        if layer is None:
            return
        frames = self._frames.setdefault(kind, Frames(self._archive, kind))
        ready = 0.0
        while ready < 1:
            ready = await asyncio.to_thread(frames.fill, AT_ONCE)
            if (kind, layer) != (self._shown.kind, self._shown.open_layer) or self._scrubs:
                self._again = True
                return
            steps, values = frames.layer(layer)
            last = int(steps[-1]) if len(steps) else 0
            end = int(domain_end(last, self._total())) if last else 0
            self._shown.show_layer(
                LayerHistory(kind, layer, steps, values, frames.stride, ready, end)
            )


def index_of(steps: npt.NDArray[np.int64], step: int) -> int:
    """The window that covers a step: the first that ends at it or later, else the last one."""
    return min(int(np.searchsorted(steps, step)), len(steps) - 1)


def next_step(steps: npt.NDArray[np.int64], step: int | None, scrub: Scrub) -> int | None:
    """The step to look at after a wish, from the one looked at before; None is live. Going on
    beyond the newest window is live; going back stops at the first."""
    if scrub.live or not len(steps):
        return None
    at = len(steps) - 1 if step is None else index_of(steps, step)
    if scrub.step is not None:
        at = index_of(steps, scrub.step)
    elif scrub.part is not None:
        at = index_of(steps, 1 + round(scrub.part * (int(steps[-1]) - 1)))
    elif scrub.by_part:
        wide = max(round(abs(scrub.by_part) * len(steps)), 1)
        at += wide if scrub.by_part > 0 else -wide
    else:
        at += scrub.by
    if at >= len(steps) or (step is None and (scrub.by > 0 or scrub.by_part > 0)):
        return None
    return int(steps[max(at, 0)])
