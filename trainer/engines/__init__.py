"""Engines: what distributes the work. One small protocol; one module per library."""

from trainer.engines.protocol import Engine

__all__ = ["Engine"]
