"""The first frame: what is known of a run before its journal is read, drawn while the screens are
still being loaded. It needs none of what they need: no numpy, no panels."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Awaitable, Callable

from rich.segment import Segment
from rich.style import Style
from textual.app import ComposeResult
from textual.events import Key
from textual.strip import Strip
from textual.widget import Widget

from cockpit import terminal
from cockpit.screens.arrange import arrange
from cockpit.screens.calm import CalmScreen
from cockpit.terminal import Terminal

_LOOKS = {
    ("256", "dark"): ((117, 246, 237), 233),
    ("256", "light"): ((24, 241, 251), 255),
    ("16", "dark"): ((14, 7, 8), 0),
    ("16", "light"): ((4, 8, 7), 15),
}
"""Colours of names, words and rules, and what they stand on."""


def looks(shown: Terminal) -> list[Style]:
    """How names, words and rules look: as inks do, of which nothing is loaded yet."""
    if shown.depth == "none":
        return [Style(bold=True), Style(), Style()]
    fronts, back = _LOOKS["16" if shown.depth == "16" else "256", shown.theme]
    return [
        Style.parse(f"{'' if n else 'bold '}color({front}) on color({back})")
        for n, front in enumerate(fronts)
    ]


TITLES = {"loss": "loss", "memory": "memory", "experts": "experts", "events": "events"}


class _Frame(Widget):
    """A line at the top, and rules where panels will be."""

    DEFAULT_CSS = "_Frame { width: 100%; height: 100%; }"

    def __init__(self, mark: str, name: str, note: str, panels: bool) -> None:
        super().__init__()
        self._mark, self._run, self._note, self._panels = mark, name, note, panels
        self._name_style, self._quiet, self._rule = looks(terminal.in_use())

    def render_line(self, y: int) -> Strip:
        """One row of the frame."""
        width = self.size.width
        segments, at = [], 0
        for x, text, style in self._pieces(y):
            if at <= x < width:
                segments += [
                    Segment(" " * (x - at), self._quiet),
                    Segment(text[: width - x], style),
                ]
                at = x + len(text[: width - x])
        return Strip([*segments, Segment(" " * (width - at), self._quiet)], width)

    def _pieces(self, y: int) -> list[tuple[int, str, Style]]:
        pieces: list[tuple[int, str, Style]] = []
        if y == 0:
            pieces.append((1, f"{self._mark}  ", self._quiet))
            pieces.append((len(pieces[0][1]) + 1, self._run, self._name_style))
            pieces.append((pieces[1][0] + len(self._run) + 2, self._note, self._quiet))
        elif self._panels:
            boxes = arrange(*self.size, lambda _width, most: min(7, most))
            for name, title in TITLES.items():
                if (box := boxes.get(name)) and box.y == y:
                    pieces.append((box.x, title, self._name_style))
                    rule = "─" * max(box.width - len(title) - 1, 0)
                    pieces.append((box.x + len(title) + 1, rule, self._rule))
        return sorted(pieces)


class Curtain(CalmScreen[None]):
    """Shown until a module is loaded; then rise(keys) is called with the keys that were pressed
    meanwhile."""

    def __init__(
        self,
        mark: str,
        name: str,
        note: str,
        module: str,
        rise: Callable[[list[str]], Awaitable[None]],
    ) -> None:
        super().__init__()
        self._frame = _Frame(mark, name, note, module.endswith("dashboard"))
        self._module, self._rise = module, rise
        self._keys: list[str] = []

    def compose(self) -> ComposeResult:
        """The frame."""
        yield self._frame

    def on_mount(self) -> None:
        """Load once the frame is on the screen."""
        self.call_after_refresh(self.run_worker, self._load())

    def on_key(self, event: Key) -> None:
        """Kept for the screen that comes."""
        event.stop()
        event.prevent_default()
        self._keys.append(event.key)

    async def _load(self) -> None:
        await asyncio.to_thread(importlib.import_module, self._module)
        self.still = True  # what comes now covers it
        await self._rise(self._keys)
