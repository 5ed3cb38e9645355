"""One rank from its first import of torch to the end of training."""

from __future__ import annotations

from pathlib import Path

from trainer.contract import messages
from trainer.contract.config import Config
from trainer.control import Control
from trainer.loop import Loop
from trainer.orders import Orders
from trainer.pipe import Pipe
from trainer.place import Place
from trainer.setup import assemble
from trainer.store import Store
from trainer.telemetry.report import FollowingReporter, LeadingReporter, Reporter


def train(config: Config, run_dir: Path, here: Place, orders: Orders, pipe: Pipe | None) -> None:
    """Train a run; pipe is rank 0's alone. Raises what goes wrong."""
    store = Store(here.rank, here.world)
    reporter = _reporter(store, pipe)
    try:
        _train(config, run_dir, here, orders, pipe, store, reporter)
    except BaseException:
        reporter.close(patience=1.0)  # it may wait for a rank that is dead
        raise
    reporter.close(patience=60.0)


def _train(
    config: Config,
    run_dir: Path,
    here: Place,
    orders: Orders,
    pipe: Pipe | None,
    store: Store,
    reporter: Reporter,
) -> None:
    def tell(detail: str) -> None:
        reporter.send(messages.Phase(phase="loading", step=0, detail=detail))

    parts = assemble(config, run_dir, here, store, tell)
    control = Control(store, orders)
    loop = Loop(config, run_dir, here, store, parts, control, reporter)
    tell("looking for a checkpoint")
    resumed_from = loop.restore()
    reporter.send(
        messages.Hello(
            protocol=messages.PROTOCOL,
            world=here.world,
            ranks=parts.ranks,
            model=parts.model,
            step=loop.progress.step,
            steps=config.train.steps,
            tokens_per_step=loop.tokens_per_step,
            resumed_from=str(resumed_from) if resumed_from else None,
        )
    )
    if pipe:
        orders.tell(lambda order: pipe.send(loop.acceptance(order)))
    loop.run()


def _reporter(store: Store, pipe: Pipe | None) -> Reporter:
    return LeadingReporter(store, pipe.send) if pipe else FollowingReporter(store)
