"""Names inside a run directory, and the environment that a supervisor gives the trainer."""

from __future__ import annotations

from pathlib import Path

RUN_FILE = "run.yaml"
JOURNAL = "journal.jsonl"
INDEX = "journal.index"
"""A cache of the journal's figures, made from it alone; it may be deleted at any time."""
TRAINER_LOG = "trainer.log"
SUPERVISOR_LOG = "supervisor.log"
SUPERVISOR_FILE = "supervisor.json"
LOCK = "supervisor.lock"
NAME_FILE = "name"
"""One line: what the run is called now. Its folder is never renamed: paths lead there."""
CHECKPOINTS = "checkpoints"
LATEST = "latest"
ENGINE_STATE = "engine"
FAILURES = "failures"
RANK_LOGS = "rank-logs"

PIPE_VARIABLE = "L4COCKPIT_PIPE"
"""Path of the Unix socket on which the supervisor awaits rank 0. Absent: messages to stdout."""
ATTEMPT_VARIABLE = "L4COCKPIT_ATTEMPT"
"""Which launch of this run it is, from 1."""
RUN_VARIABLE = "L4COCKPIT_RUN"
"""The run directory: marks every process of a run, so that none can be left behind."""


def checkpoint_name(step: int) -> str:
    """The folder of the checkpoint taken after a step."""
    return f"step-{step:08d}"


def failure_file(run_dir: Path, attempt: int, rank: int) -> Path:
    """Where a rank leaves its `failure` message (one JSON line) before it dies of an exception,
    for the case that the pipe or rank 0 is gone."""
    return run_dir / FAILURES / f"attempt-{attempt}-rank-{rank}.json"


def undelivered_file(run_dir: Path, attempt: int) -> Path:
    """Where the trainer leaves the messages (JSON lines) that no supervisor had journalled when
    it ended; the next supervisor journals and removes it."""
    return run_dir / FAILURES / f"attempt-{attempt}-undelivered.jsonl"
