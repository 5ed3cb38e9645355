"""`python -m cockpit.index JOURNAL INDEX [UPTO]`: make the index of a journal, a block at a time,
so that a reader can follow it while it grows. It gives way to whatever else wants the processor."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from cockpit.index.build import build


def main() -> int:
    """Make it; the exit status."""
    journal, index, *upto = sys.argv[1:]
    os.nice(10)
    try:
        build(Path(journal), Path(index), int(upto[0]) if upto else None)
    except OSError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
