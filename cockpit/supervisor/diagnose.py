"""Why a trainer ended: a pure judgement from its exit code, its log and what it told itself."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field

from trainer.contract.messages import Failure

CONFIGURATION_EXIT = 2
"""Exit code of a rank whose configuration cannot be used."""
_SECONDARY = re.compile(
    r"connection (reset|closed)|closed by peer|broken pipe|socket timeout|"
    r"DistNetworkError|DistBackendError|recvValue failed|ProcessGroup\w+ .*abort",
    re.IGNORECASE,
)
"""What the other ranks say when one has died."""
_SURVIVED = frozenset(("checkpoint-failed",))
"""Kinds of failure that training goes on after."""


@dataclass(frozen=True)
class Evidence:
    """What is known after the end. code is torchrun's exit code, minus a signal, or None; log is
    the end of trainer.log, of this attempt alone; told are failures from the trainer itself; gone
    are ranks seen to vanish before torchrun, first one first."""

    code: int | None
    log: str = ""
    told: Sequence[Failure] = ()
    pids: dict[int, int] = field(default_factory=dict)
    gone: Sequence[int] = ()
    torchrun: int = 0
    watched: bool = True
    """Whether a supervisor was there when it ended."""


@dataclass
class Verdict:
    """kind decides about a restart; failure is to be journalled, None if it already is."""

    kind: str
    text: str
    advice: str
    failure: Failure | None


@dataclass(frozen=True)
class _Known:
    pattern: re.Pattern[str]
    kind: str
    advice: str


def _known(pattern: str, kind: str, advice: str) -> _Known:
    return _Known(re.compile(pattern, re.IGNORECASE), kind, advice)


_KNOWN = (
    _known(
        r"async_io|libaio",
        "not-installed",
        "engine.offload_* nvme needs libaio: apt install libaio-dev, or offload to cpu",
    ),
    _known(
        r"CUDA out of memory|torch\.OutOfMemoryError",
        "out-of-memory",
        "lower train.micro_batch or data.seq_len, or offload more (engine.offload_optimizer)",
    ),
    _known(
        r"No space left on device|Disk quota exceeded",
        "disk-full",
        "free some space; then: l4cockpit resume",
    ),
    _known(
        r"No module named '?(torch|transformers|deepspeed|peft|trainer)",
        "not-installed",
        "install the trainer: pip install 'l4cockpit[train]'",
    ),
    _known(
        r"Ninja is required|c\+\+: not found|No such file or directory: '(c|g|clang)\+\+'"
        r"|which: no (c|g)\+\+|command '.*\+\+' failed|Error building extension",
        "not-installed",
        "DeepSpeed builds an operation at its first start: install a C++ compiler and ninja",
    ),
    _known(
        r"Cannot allocate memory|MemoryError|bad_alloc",
        "out-of-memory",
        "the host has too little RAM for this: offload less to cpu, or use fewer ranks",
    ),
    _known(
        r"Address already in use|EADDRINUSE",
        "launcher",
        "another program took torchrun's port; it is tried again on another",
    ),
)
_ROOT = re.compile(r"rank\s*:\s*(\d+).*?exitcode\s*:\s*(-?\d+) \(pid: (\d+)\)", re.DOTALL)
_PREFIX = re.compile(r"(?:\[rank ?\d+\]:?\s*)+")
_EXCEPTION = re.compile(
    r"^(?:\[rank \d+\]:?\s*)*([A-Za-z_][\w.]*(?:Error|Exception|Interrupt)\b.*)$"
)


def diagnose(evidence: Evidence) -> Verdict | None:
    """Why it ended; None where the exit code says that all is well."""
    if evidence.code == 0:
        return None
    if evidence.code is not None and evidence.code < 0:
        return _fresh(_killed("torchrun", None, evidence.torchrun, -evidence.code))
    root = _root_cause(evidence.log)
    if root is not None and root[1] < 0:
        return _fresh(_killed(f"rank {root[0]}", root[0], root[2], -root[1]))
    if (told := _first_cause(evidence.told, bool(evidence.gone))) is not None:
        return Verdict(told.kind, told.text, told.advice, None)
    return _fresh(_unexplained(evidence) if root is None else _from_log(evidence.log, *root[:2]))


def _unexplained(evidence: Evidence) -> Failure:
    """torchrun names no rank as the cause, and none has told of a failure."""
    if evidence.gone:
        rank = evidence.gone[0]
        text = f"rank {rank} (pid {evidence.pids.get(rank, '?')}) vanished"
        return Failure(kind="killed", rank=rank, text=text, advice=_OUT_OF_MEMORY_KILLER)
    if evidence.code is not None:
        return _from_log(evidence.log, None, evidence.code)
    if evidence.watched:
        text = (
            f"torchrun (pid {evidence.torchrun}) is gone without a word in its log; it was "
            "probably killed (a former supervisor started it, so its exit code is unknown)"
        )
        return Failure(kind="killed", rank=None, text=text, advice=_OUT_OF_MEMORY_KILLER)
    text = "neither supervisor nor trainer is alive: they were killed, or the host restarted"
    return Failure(kind="lost", rank=None, text=text, advice="")


def _fresh(failure: Failure) -> Verdict:
    return Verdict(failure.kind, failure.text, failure.advice, failure)


_OUT_OF_MEMORY_KILLER = (
    "if nobody did this by hand, it was the kernel's out-of-memory killer: see dmesg, and lower "
    "what the run keeps in RAM"
)


def _killed(who: str, rank: int | None, pid: int, number: int) -> Failure:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = "unknown"
    advice = "the end of trainer.log may say why (l4cockpit logs)"
    if number == signal.SIGKILL:
        advice = _OUT_OF_MEMORY_KILLER
    elif number in (signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGABRT, signal.SIGFPE):
        advice = "native code crashed; trainer.log holds the Python stack (l4cockpit logs)"
    return Failure(
        kind="killed",
        rank=rank,
        text=f"{who} (pid {pid}) was killed by signal {number} ({name})",
        advice=advice,
    )


def _root_cause(log: str) -> tuple[int, int, int] | None:
    """Rank, exit code and pid of torchrun's "first observed failure"."""
    _, found, summary = log.rpartition("Root Cause")
    match = _ROOT.search(summary) if found else None
    return (int(match[1]), int(match[2]), int(match[3])) if match else None


def _first_cause(told: Sequence[Failure], gone: bool) -> Failure | None:
    """The failure that came first. Those that only echo another rank's death do not count if a
    rank is known to have vanished, and else only where there are no others."""
    fatal = [failure for failure in told if failure.kind not in _SURVIVED]
    by_time = sorted(fatal, key=lambda failure: failure.time)
    causes = [failure for failure in by_time if not _is_echo(failure)]
    return next(iter(causes or ([] if gone else by_time)), None)


def _is_echo(failure: Failure) -> bool:
    return failure.kind == "peer-lost" or _SECONDARY.search(failure.text) is not None


def _from_log(log: str, rank: int | None, code: int) -> Failure:
    """The best that the log itself says."""
    body = log.partition("=" * 40)[0]
    kind = "configuration" if code == CONFIGURATION_EXIT else "exception"
    advice = "the whole story is in trainer.log (l4cockpit logs)"
    for known in _KNOWN:
        if known.pattern.search(body):
            kind, advice = known.kind, known.advice
            break
    said = [match[1] for line in body.splitlines() if (match := _EXCEPTION.match(line.strip()))]
    said = [text for text in said if "ChildFailedError" not in text]
    causes = [text for text in said if not _SECONDARY.search(text)] or said
    lines = [line.strip() for line in body.splitlines() if line.strip(" =-")]
    lines = [_PREFIX.sub("", line) for line in lines if _PREFIX.match(line)] or lines
    who = "the trainer" if rank is None else f"rank {rank}"
    text = causes[-1] if causes else (lines[-1] if lines else f"exit code {code}")
    return Failure(kind=kind, rank=rank, text=f"{who} failed: {text[:500]}", advice=advice)
