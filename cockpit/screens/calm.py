"""A screen that is painted by its layout, and again only where a widget on it has changed."""

from __future__ import annotations

from typing import Self, TypeVar

from textual.geometry import Region, Size
from textual.reactive import Reactive
from textual.screen import Screen
from textual.widget import Widget

Answer = TypeVar("Answer")


class CalmScreen(Screen[Answer]):
    """Textual repaints all of a screen when the focus moves, after it was mounted, and once more
    when it has just been laid out. A whole screen is 12 KB and tens of milliseconds, and panels
    paint themselves when they change."""

    focused: Reactive[Widget | None] = Reactive(None, repaint=False)
    virtual_size: Reactive[Size] = Reactive(Size(0, 0), layout=False, repaint=False)
    still = False
    """Whether to leave out repaints of the whole."""

    def on_screen_resume(self) -> None:
        """Textual lays the screen out next, if its size is not that of the terminal."""
        self.still = self.outer_size != self.app.size
        self.call_next(self._laid_out)

    def _laid_out(self) -> None:
        self.still = False

    def refresh(
        self,
        *regions: Region,
        repaint: bool = True,
        layout: bool = False,
        recompose: bool = False,
    ) -> Self:
        """Repaint the screen, unless its layout does that."""
        if not regions and not recompose and (layout or self.still):
            repaint = False
        return super().refresh(*regions, repaint=repaint, layout=layout, recompose=recompose)
