"""Screens and dialogs that are nothing but canvases, painted as one frame."""

from __future__ import annotations

from typing import Any, TypeVar

from textual.geometry import Size
from textual.reactive import Reactive
from textual.screen import ModalScreen, Screen

from cockpit.widgets.painter import Painter

Answer = TypeVar("Answer")


class Painted(Screen[Answer]):
    """A screen of canvases."""

    virtual_size: Reactive[Size] = Reactive(Size(0, 0), layout=False, repaint=False)
    """As Textual's own, which would lay the screen out a second time when it changes."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._compositor = Painter(self)


class Dialog(Painted[Answer], ModalScreen[Answer]):
    """A box over the screen that opens it. What lies below is seen, and goes on."""
