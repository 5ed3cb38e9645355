"""`python -m cockpit.supervisor RUN_DIR [--takeover]`: look after one run, apart from any terminal.

Without --takeover it starts training; with it, it adopts a trainer that still runs, and where
there is none it only writes down that the run is lost.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from cockpit import runs
from cockpit.runs import Run, Taken, claim
from cockpit.supervisor.core import Supervisor
from cockpit.supervisor.detach import READY, detach
from trainer.contract.config import ConfigError


def main() -> None:
    """Detach, supervise, leave."""
    parser = argparse.ArgumentParser(prog="python -m cockpit.supervisor", description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--takeover", action="store_true")
    options = parser.parse_args()
    run = runs.load(options.run)
    if run is None:
        parser.error(f"{options.run} is no run directory")
    report = detach(run.supervisor_log)
    # Threads that hang in a driver must not keep the process: no waiting for them.
    code = 1
    try:
        code = _supervise(run, options.takeover, report)
    finally:
        sys.stderr.flush()
        os._exit(code)


def _supervise(run: Run, takeover: bool, report: Callable[[str], None]) -> int:
    told = False

    def ready() -> None:
        nonlocal told
        told = True
        report(READY)

    try:
        lock = claim(run)
        asyncio.run(Supervisor(run, takeover).supervise(ready))
        os.close(lock)
    except (Taken, OSError, ConfigError) as error:
        traceback.print_exc()
        if not told:
            report(str(error))
        return 1
    except BaseException:
        # The trainer goes on without; the next command on the run starts another supervisor.
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    main()
