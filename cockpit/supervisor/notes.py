"""Lines for supervisor.log: what only the person who debugs a supervisor wants to know."""

from __future__ import annotations

import sys
import time


def note(text: str) -> None:
    """Print a line with the time."""
    sys.stderr.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n")
    sys.stderr.flush()
