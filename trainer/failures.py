"""What a rank says when it dies of an exception."""

from __future__ import annotations

import os
from pathlib import Path

from trainer.contract import layout, messages
from trainer.contract.config import ConfigError
from trainer.contract.messages import Failure
from trainer.place import Place


def describe(error: BaseException, place: Place) -> Failure:
    """The failure in plain words, with what to do about it."""
    name = type(error).__name__
    text = str(error).strip().split("\n")[0][:500] or name
    for kind, advice in _KINDS.items():
        if kind == _kind(error, name, text):
            return Failure(kind=kind, rank=place.rank, text=text, advice=advice)
    return Failure(
        kind="exception",
        rank=place.rank,
        text=f"{name}: {text}",
        advice="The traceback is in trainer.log.",
    )


_KINDS = {
    "configuration": "Correct the configuration and start the run anew.",
    "no-good-checkpoint": "Put a good checkpoint back, or move the folder `checkpoints` away to "
    "start over from step 0.",
    "out-of-memory": "Lower train.micro_batch or data.seq_len, set activation_checkpointing=full, "
    "or offload more (engine.offload_optimizer, engine.offload_params).",
    "disk-full": "Free space where the run, its cache and its swap files lie.",
    "peer-lost": "Another rank ended first; its own failure says why.",
}


def _kind(error: BaseException, name: str, text: str) -> str:
    lowered = text.lower()
    if isinstance(error, ConfigError):
        return "configuration"
    if name == "NoGoodCheckpoint":
        return "no-good-checkpoint"
    spent = ("out of memory", "can't allocate memory")
    if isinstance(error, MemoryError) or any(word in lowered for word in spent):
        return "out-of-memory"
    if isinstance(error, OSError) and error.errno in (28, 122):  # no space left, quota exceeded
        return "disk-full"
    lost = ("connection closed by peer", "connection reset by peer", "gloo", "nccl", "broken pipe")
    if name in ("DistBackendError", "DistNetworkError", "DistStoreError", "RuntimeError") and any(
        word in lowered for word in lost
    ):
        return "peer-lost"
    return ""


def leave(failure: Failure, run_dir: Path, place: Place) -> None:
    """Leave the failure in a file, for the case that no message gets through."""
    path = layout.failure_file(run_dir, place.attempt, place.rank)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    making = path.with_suffix(".tmp")
    making.write_bytes(messages.encode(failure))
    os.replace(making, path)  # noqa: PTH105 - atomic
