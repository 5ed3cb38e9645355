"""What happens when a trainer has ended: gather what it left, judge, restart or end the run."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from cockpit.supervisor import diagnose, process, restart
from cockpit.supervisor.diagnose import Evidence
from cockpit.supervisor.process import Trainer
from cockpit.supervisor.watchdog import Verdict
from cockpit.supervisor.writer import JournalWriter
from trainer.contract import layout, messages
from trainer.contract.messages import Ack, End, Failure

if TYPE_CHECKING:
    from cockpit.supervisor.core import Supervisor

_LOG_TAIL = 2**18
_DRAIN = 3.0


async def conclude(supervisor: Supervisor) -> None:
    """After the trainer of an attempt is gone: afterwards another attempt runs, or the run has
    ended in the journal, and no process of it is left."""
    trainer, supervisor.trainer = supervisor.trainer, None
    pid = trainer.info.pid if trainer else 0
    if left := await process.end_all(supervisor.run.path, pid):
        text = f"processes {left} hang in the kernel and cannot be ended; the host needs a look"
        supervisor.record(messages.Log(level="error", text=text))
    await supervisor.pipe.drained(_DRAIN)
    _gather(supervisor)
    verdict = supervisor.watchdog.verdict
    if verdict is not None and verdict.kind != "rank-gone":
        _ended_by_us(supervisor, verdict)
    elif supervisor.history.phase == "done" or supervisor.history.stopped:
        _finished(supervisor)
    elif trainer is not None and trainer.code == 0:
        _end(supervisor, "stopped", f"the trainer ended by itself after step {supervisor.step}")
    else:
        await _failed(supervisor, trainer)


def _gather(supervisor: Supervisor) -> None:
    """Journal what the trainer could only leave in files."""
    run, attempt = supervisor.run.path, supervisor.history.attempt
    undelivered = layout.undelivered_file(run, attempt)
    for line in _lines(undelivered):
        supervisor.pipe.ingest(line)
    if supervisor.journal.flush():
        undelivered.unlink(missing_ok=True)
    told = {(f.kind, f.rank, f.text) for f in supervisor.history.failures}
    for path in sorted((run / layout.FAILURES).glob(f"attempt-{attempt}-rank-*.json")):
        for line in _lines(path):
            entry = messages.decode_entry(line)
            if isinstance(entry, Failure) and (entry.kind, entry.rank, entry.text) not in told:
                entry.n = entry.seq = 0
                supervisor.history.failures.append(entry)
                supervisor.record(entry)


def _lines(path: Path) -> list[bytes]:
    try:
        return path.read_bytes().splitlines()
    except OSError:
        return []


def _ended_by_us(supervisor: Supervisor, verdict: Verdict) -> None:
    if verdict.kind == "overdue":
        saved = supervisor.history.state.last_checkpoint
        advice = f"the newest checkpoint is of step {saved.step}" if saved else "nothing was saved"
        advice += "; a longer restart.grace gives it more time"
        supervisor.record(Failure(kind="hang", rank=None, text=verdict.text, advice=advice))
    _end(supervisor, "stopped", verdict.text)


def _finished(supervisor: Supervisor) -> None:
    step, steps = supervisor.step, supervisor.history.state.steps
    saved = supervisor.history.state.last_checkpoint
    # Without the checkpoint of the last step a resume still has something to do.
    whole = supervisor.history.phase == "done" or (saved is not None and saved.step >= steps)
    if step >= steps and whole:
        _end(supervisor, "done", f"all {steps} steps")
    else:
        _end(supervisor, "stopped", f"as asked, after step {step} of {steps}")


async def _failed(supervisor: Supervisor, trainer: Trainer | None) -> None:
    history = supervisor.history
    verdict = diagnose.diagnose(
        Evidence(
            # Where we ended it, its exit code only tells about us.
            code=1 if supervisor.watchdog.verdict else (trainer.code if trainer else None),
            log=_log_tail(supervisor.run.log, history.attempt),
            told=history.failures,
            pids={rank.rank: rank.pid for rank in history.ranks},
            gone=history.gone,
            torchrun=trainer.info.pid if trainer else 0,
            watched=trainer is not None,
        )
    )
    assert verdict is not None
    saved = history.state.last_checkpoint
    where = f"from step {saved.step}" if saved else "from the start"
    if trainer is None:
        verdict.advice = f"l4cockpit resume {supervisor.run.name} continues {where}"
    if verdict.failure is not None:
        verdict.failure.advice = verdict.advice
        supervisor.record(verdict.failure)
    if trainer is None or history.stop is not None:
        _end(supervisor, "failed", verdict.text)
        return
    barren = history.barren + (0 if history.stepped else 1)
    left = history.state.restarts_left or 0
    decision = restart.decide(verdict.kind, barren, left, supervisor.config.restart.max)
    if not decision.restart:
        _end(supervisor, "failed", f"{verdict.text}; not restarted: {decision.reason}")
        return
    plan = f"in {decision.delay:g} s {where} ({decision.reason})"
    supervisor.say_restarting(plan)
    if not await supervisor.restart(decision.delay, f"restart after: {verdict.text}", left - 1):
        _end(supervisor, "stopped", "stopped instead of restarted")


def _end(supervisor: Supervisor, state: str, reason: str) -> None:
    """Answer what is still open, and end the run."""
    for order in list(supervisor.history.orders.values()):
        followed = isinstance(order, messages.Stop)
        supervisor.record(
            Ack(
                id=order.id,
                command=str(order.__struct_config__.tag),
                state="done" if followed else "refused",
                step=supervisor.step,
                reason="" if followed else "the run ended first",
            )
        )
    supervisor.record(End(state=state, step=supervisor.step, reason=reason))  # type: ignore[arg-type]


def fail_to_start(supervisor: Supervisor, error: OSError) -> None:
    """torchrun could not even be started."""
    text = f"torchrun cannot be started: {error.strerror or error}"
    advice = "mend that; then: l4cockpit resume"
    supervisor.record(Failure(kind="launcher", rank=None, text=text, advice=advice))
    _end(supervisor, "failed", text)


def _log_tail(path: Path, attempt: int) -> str:
    """The end of trainer.log, as far as it is of this attempt."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _LOG_TAIL))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    return text.rpartition(process.log_header(attempt))[2]


def disk_failure(journal: JournalWriter, error: OSError, over: bool) -> Failure:
    """The disk refuses the journal, or did until now."""
    seconds = time.time() - journal.refused_at
    why = error.strerror or str(error)
    if over:
        text = f"the journal could not be written for {seconds:.0f} s: {why}; nothing was lost"
        advice = "it is written again; keep an eye on the space that is left"
    else:
        text = f"the journal cannot be written: {why}"
        advice = "training goes on, and nothing is lost yet; free some space"
    return Failure(kind="disk-full", rank=None, text=text, advice=advice)
