"""How the trainer is started."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from trainer.contract import layout
from trainer.contract.config import Config


def torchrun_command(python: str, config: Config, run_dir: Path, attempt: int) -> list[str]:
    """The command that trains a run. torchrun writes every rank's output, prefixed, to its own
    stdout; it never restarts by itself, that is the supervisor's to decide. The ranks of one host
    meet on the loopback address: a host's own name may take long to resolve, or lead elsewhere."""
    return [
        python, "-m", "torch.distributed.run",
        "--standalone", "--local-addr", "127.0.0.1",
        "--nnodes", "1", "--nproc-per-node", str(config.launch.nproc),
        "--max-restarts", "0", "--tee", "3",
        "--log-dir", str(run_dir / layout.RANK_LOGS / f"attempt-{attempt}"),
        "-m", "trainer", str(run_dir / layout.RUN_FILE),
    ]  # fmt: skip


def environment(base: Mapping[str, str], run_dir: Path, pipe: Path, attempt: int) -> dict[str, str]:
    """The environment of that command."""
    return {
        **base,
        layout.PIPE_VARIABLE: str(pipe),
        layout.ATTEMPT_VARIABLE: str(attempt),
        layout.RUN_VARIABLE: str(run_dir),
        "TORCHELASTIC_LOG_LINE_PREFIX_TEMPLATE": "[rank ${rank}] ",
        "OMP_NUM_THREADS": "1",  # else torchrun warns; the trainer sets what launch.threads says
        "PYTHONUNBUFFERED": "1",
        "PYTHONFAULTHANDLER": "1",
    }
