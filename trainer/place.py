"""Where this process stands among the ranks, and what it must do before torch is imported."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import warnings
from collections.abc import Mapping
from dataclasses import dataclass

from trainer.contract.config import Config, ConfigError

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Place:
    """This rank, how many there are, its number on this host, and which launch of the run it is."""

    rank: int
    world: int
    local_rank: int
    attempt: int
    host: str

    @property
    def leads(self) -> bool:
        """Whether this is rank 0."""
        return self.rank == 0


def find(environment: Mapping[str, str], attempt_variable: str) -> Place:
    """The place that torchrun assigned; raises ConfigError outside of torchrun."""
    try:
        rank, world, local = (int(environment[k]) for k in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
    except (KeyError, ValueError):
        raise ConfigError("start the trainer with: torchrun -m trainer RUN.yaml") from None
    attempt = int(environment.get(attempt_variable, "1"))
    return Place(rank, world, local, attempt, socket.gethostname())


def die_with_parent() -> None:
    """Have the kernel kill this process when torchrun dies, so that no rank is left behind."""
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died in between
        os.kill(os.getpid(), signal.SIGKILL)


def prepare_environment(config: Config) -> None:
    """What torch and DeepSpeed read from the environment as they are imported."""
    threads = str(config.launch.threads)
    os.environ["OMP_NUM_THREADS"] = threads
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # Deprecations inside of DeepSpeed, twice a rank and layer, are not for this log.
    warnings.filterwarnings("ignore", category=FutureWarning, module="torch.distributed")
    if config.launch.device == "cpu":
        os.environ["DS_ACCELERATOR"] = "cpu"
