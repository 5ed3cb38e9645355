"""stdout is for data, stderr for people; exit codes have names."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cockpit.runs import Run

DONE = 0
FAILED = 1
USAGE = 2
NOT_FOUND = 3
CANNOT = 4
INTERRUPTED = 130


@dataclass(frozen=True)
class Screen:
    """What a command returns instead of an exit code: a screen is to be opened, on a run or at
    home. Commands themselves know no Textual."""

    root: Path
    run: Run | None
    readonly: bool


class Problem(Exception):
    """Ends the command with one line on stderr and an exit code."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code, self.text = code, text


def say(text: str) -> None:
    """A line of data. Flushed, because someone may be following."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def say_raw(lines: bytes) -> None:
    """Bytes of data."""
    sys.stdout.buffer.write(lines)
    sys.stdout.buffer.flush()


def say_json(value: Any) -> None:
    """A value as JSON, indented for the eye."""
    import msgspec  # noqa: PLC0415 - --help does without

    say(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def tell(text: str) -> None:
    """A line for the person at the terminal."""
    try:
        sys.stderr.write(f"l4cockpit: {text}\n")
        sys.stderr.flush()
    except OSError:
        pass  # nobody there
