"""Where a module is in a model."""

from __future__ import annotations


def layer_of(name: str) -> int:
    """The number of the decoder layer that a module's name lies in."""
    return int(name.split(".layers.")[1].split(".", maxsplit=1)[0])
