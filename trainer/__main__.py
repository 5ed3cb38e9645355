"""`torchrun -m trainer RUN.yaml`: one rank of a run."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import BinaryIO

from trainer import failures, place
from trainer.contract import config as configuration
from trainer.contract import layout, messages
from trainer.contract.config import Config, ConfigError
from trainer.orders import Orders
from trainer.pipe import Pipe
from trainer.place import Place


def main() -> int:
    """Train; returns the exit status: 0 done or stopped, 1 failed, 2 wrong configuration."""
    try:
        here = place.find(os.environ, layout.ATTEMPT_VARIABLE)
        if len(sys.argv) != 2:
            raise ConfigError("usage: torchrun -m trainer RUN.yaml")
        run_file = Path(sys.argv[1]).resolve()
        config = configuration.load_run(run_file)
    except ConfigError as error:
        print(f"trainer: {error}", file=sys.stderr)
        return 2
    place.die_with_parent()
    place.prepare_environment(config)
    return _run(config, run_file.parent, here)


def _run(config: Config, run_dir: Path, here: Place) -> int:
    orders, output = Orders(), _take_stdout()
    _stop_on_signals(orders, here)
    pipe = _open_pipe(run_dir, here, output, orders) if here.leads else None
    status = 0
    try:
        if pipe:
            pipe.send(messages.Phase(phase="loading", step=0, detail="importing libraries"))
        from trainer.session import train  # noqa: PLC0415 - torch takes seconds

        train(config, run_dir, here, orders, pipe)
    except BaseException as error:  # whatever ends this rank must be told
        status = 2 if isinstance(error, ConfigError) else 1
        traceback.print_exc()
        failure = failures.describe(error, here)
        with contextlib.suppress(OSError):
            failures.leave(failure, run_dir, here)
        if pipe:
            pipe.send(failure)
    finally:
        if pipe:
            pipe.close()
    sys.stdout.flush()
    sys.stderr.flush()
    # Not through the interpreter's own end: threads that wait in a library would hold it up.
    os._exit(status)


def _take_stdout() -> BinaryIO:
    """stdout for messages alone; what libraries print there goes to stderr from now on."""
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return output


def _open_pipe(run_dir: Path, here: Place, output: BinaryIO, orders: Orders) -> Pipe:
    return Pipe(
        here.attempt,
        os.environ.get(layout.PIPE_VARIABLE),
        output,
        layout.undelivered_file(run_dir, here.attempt),
        orders.put,
    )


def _stop_on_signals(orders: Orders, here: Place) -> None:
    """SIGTERM and SIGINT ask for a checkpoint and a stop; rank 0 speaks for all. Under a
    supervisor they mean nothing: it gets them too and orders the stop, and what torchrun sends
    when a rank has died must not look like a wish to stop."""

    def stop(number: int, _frame: object) -> None:
        if here.leads and layout.PIPE_VARIABLE not in os.environ:
            # By a thread: the interrupted code may hold the very lock that the answer needs.
            order = messages.Stop(id=f"signal-{number}")
            threading.Thread(target=orders.put, args=[order], daemon=True).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


if __name__ == "__main__":
    sys.exit(main())
