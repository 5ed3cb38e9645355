"""Where the panels of the dashboard lie: a pure function of the terminal's size."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Box(NamedTuple):
    """A rectangle of cells."""

    x: int
    y: int
    width: int
    height: int


PANELS = ("loss", "experts", "memory", "events", "extra")
"""In the order of the keys 1 to 5. extra: gradient norm and speed, on large terminals."""


def arrange(
    width: int, height: int, heat_wants: Callable[[int, int], int], alone: str | None = None
) -> dict[str, Box]:
    """A box for every panel that is shown. heat_wants says how many rows the heatmap fills, for
    its width and the most rows it may have; alone names a panel that gets all the room between
    header and footer."""
    head = 4 if height >= 30 else 3 if height >= 16 else 2
    foot = 2
    boxes = {
        "header": Box(0, 0, width, head),
        "footer": Box(0, height - foot, width, foot),
    }
    room = Box(1, head, max(width - 2, 1), max(height - head - foot, 1))
    if alone == "extra":
        return boxes | _side_by_side(room, ("gradient", "speed"))
    if alone:
        return boxes | {alone: room}
    if width < 110 or height < 30:
        return boxes | _small(room)
    return boxes | _large(room, heat_wants, extra=width >= 160 and height >= 45)


def _side_by_side(room: Box, names: tuple[str, str]) -> dict[str, Box]:
    left = room.width // 2 - 1
    return {
        names[0]: room._replace(width=left),
        names[1]: room._replace(x=room.x + left + 2, width=room.width - left - 2),
    }


def _small(room: Box) -> dict[str, Box]:
    """Chart over the width; under it heatmap and memory; events last."""
    x, y, width, height = room
    if height < 12 or width < 60:
        return {"loss": room}
    events = max(4, height // 5)
    middle = max(7, (height - events) * 2 // 5)
    top = height - events - middle
    memory = min(max(width * 2 // 5, 30), 48)
    return {
        "loss": Box(x, y, width, top),
        "experts": Box(x, y + top, width - memory - 2, middle),
        "memory": Box(x + width - memory, y + top, memory, middle),
        "events": Box(x, y + top + middle, width, events),
    }


def _large(room: Box, heat_wants: Callable[[int, int], int], extra: bool) -> dict[str, Box]:
    """Chart beside memory (and two more charts); the heatmap over the width; events last."""
    x, y, width, height = room
    heat = heat_wants(width, height - 10 - 5)
    gap = int(height - heat >= 18)
    rest = height - heat - gap
    events = max(5, min(rest // 3, 14))
    top = rest - events
    memory = min(max(width // 3, 40), 62)
    boxes = {
        "memory": Box(x + width - memory, y, memory, top),
        "experts": Box(x, y + top, width, heat),
        "events": Box(x, y + top + heat + gap, width, events),
    }
    loss = width - memory - 2
    if extra:
        side = max(loss // 3, 40)
        loss -= side + 2
        half = top // 2
        boxes["gradient"] = Box(x + loss + 2, y, side, half)
        boxes["speed"] = Box(x + loss + 2, y + half, side, top - half)
    return boxes | {"loss": Box(x, y, loss, top)}
