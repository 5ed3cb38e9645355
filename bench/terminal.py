"""A program in a pseudo-terminal, measured from outside: its screen, its bytes, its processor time.

What is timed is when output arrived, not when it was understood. Needs pyte and psutil.
"""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import struct
import termios
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from fcntl import ioctl

import psutil
import pyte

Command = Sequence[str]
SAMPLE_EVERY = 0.2
"""Seconds between two looks at the processes, which take some milliseconds."""

# Sequences that pyte would print or misread; none of them puts anything on the screen.
_SILENT = re.compile(
    rb"\x1b\[[<=>][0-?]*[ -/]*[@-~]"  # keyboard protocols and the like
    rb"|\x1b\[[0-?]*[ -/]+[@-~]"  # questions about modes
    rb"|\x1b\[\?[0-9;]*[^0-9;hl]"
    rb"|\x1b[P_^X].*?\x1b\\|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)",
    re.S,
)
_UNFINISHED = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*|[P_^X\]][^\x07\x1b]*\x1b?)?\Z")
_UNWANTED = (
    *("COLUMNS", "LINES", "SSH_CONNECTION", "SSH_TTY", "NO_COLOR"),
    "PYTHONDONTWRITEBYTECODE",  # with it all but installed packages is compiled at every start
)
_ANSWERS = {b"\x1b[6n": b"\x1b[1;1R", b"\x1b[c": b"\x1b[?62;22c"}


class Gone(Exception):
    """The program has ended, or what was awaited did not come; the text shows its screen."""


class Terminal:
    """Runs a program until `close`, which kills it and its children. Use with `with`."""

    def __init__(self, command: Command, width: int = 120, height: int = 40, **env: str) -> None:
        self.screen = pyte.Screen(width, height)
        self._stream = pyte.ByteStream(self.screen)
        self._held = b""
        self.arrivals: list[tuple[float, int]] = []
        """(seconds since the start, bytes) of every read."""
        self.peak = 0
        """Most bytes resident at a time, in all its processes together."""
        self._next_sample = SAMPLE_EVERY
        self.started = time.perf_counter()
        self._pid, self._terminal = pty.fork()
        if self._pid == 0:
            ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
            os.environ.update(TERM="xterm-256color", COLORTERM="truecolor", **env)
            for name in _UNWANTED:
                os.environ.pop(name, None)
            os.execvp(command[0], list(command))
        self._process = psutil.Process(self._pid)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        family = self._family()
        for process in family:
            with suppress(psutil.Error):
                process.kill()
        os.close(self._terminal)
        with suppress(ChildProcessError):
            os.waitpid(self._pid, 0)
        psutil.wait_procs(family, timeout=3)

    # --- output ---------------------------------------------------------------------------

    @property
    def now(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self.started

    @property
    def bytes(self) -> int:
        """All that was written so far."""
        return sum(size for _, size in self.arrivals)

    def text(self) -> str:
        """What is on the screen."""
        return "\n".join(self.screen.display)

    def watch(self, seconds: float, seen: Callable[[float], bool] | None = None) -> float | None:
        """Let it run; with seen, until that is true of the screen. seen gets the time at which
        the newest output came, which is returned as well; None when the seconds are over."""
        end = self.now + seconds
        while (now := self.now) < end:
            if now >= self._next_sample:
                self._sample()
            wait = max(0.0, min(end, self._next_sample) - now)
            if not select.select([self._terminal], [], [], wait)[0]:
                continue
            at = self._read()
            if seen is not None and seen(at):
                return at
        return None

    def _read(self) -> float:
        """All that has come; when the last of it did. It is only then drawn, which takes longer."""
        data = b""
        while select.select([self._terminal], [], [], 0)[0]:
            try:
                data += os.read(self._terminal, 65536)
            except OSError:
                raise Gone(f"the program has ended:\n{self.text()}") from None
        at = self.now
        self.arrivals.append((at, len(data)))
        self._feed(data)
        return at

    def until(self, text: str, seconds: float = 60.0) -> float:
        """When a text (a regular expression) came onto the screen. Raises Gone."""
        pattern = re.compile(text)
        at = self.watch(seconds, lambda _: bool(pattern.search(self.text())))
        if at is None:
            raise Gone(f"{text!r} did not come within {seconds:g} s:\n{self.text()}")
        return at

    def settle(self, quiet: float, seconds: float = 300.0) -> float:
        """When the last output came before so many seconds of silence."""
        end = self.now + seconds
        while self.now < end:
            last = self.arrivals[-1][0] if self.arrivals else 0.0
            if self.now - last >= quiet:
                return last
            self.watch(min(quiet, 0.25))
        raise Gone(f"it did not come to rest within {seconds:g} s")

    def _feed(self, data: bytes) -> None:
        data = self._held + data
        cut = _UNFINISHED.search(data)
        end = cut.start() if cut else len(data)
        data, self._held = data[:end], data[end:]
        for question, answer in _ANSWERS.items():
            for _ in range(data.count(question)):
                self.press(answer)
        self._stream.feed(_SILENT.sub(b"", data))

    # --- input and processes --------------------------------------------------------------

    def press(self, keys: bytes | str) -> None:
        """Type."""
        os.write(self._terminal, keys.encode() if isinstance(keys, str) else keys)

    def answer_time(self, key: str, there: Callable[[str], bool], seconds: float = 10.0) -> float:
        """Seconds from a key to a screen whose text is as wanted. Raises Gone."""
        self._next_sample = self.now + seconds  # nothing else to do meanwhile
        pressed = self.now
        self.press(key)
        at = self.watch(seconds, lambda _: there(self.text()))
        self._next_sample = self.now
        if at is None:
            raise Gone(f"no answer to {key!r} within {seconds:g} s:\n{self.text()}")
        return at - pressed

    def _family(self) -> list[psutil.Process]:
        with suppress(psutil.Error):
            return [self._process, *self._process.children(recursive=True)]
        return []

    def _sample(self) -> None:
        total = 0
        for process in self._family():
            with suppress(psutil.Error):
                total += process.memory_info().rss
        self.peak = max(self.peak, total)
        self._next_sample = self.now + SAMPLE_EVERY

    @property
    def resident(self) -> int:
        """Bytes resident now."""
        return sum(process.memory_info().rss for process in self._family())

    @property
    def cpu(self) -> float:
        """Seconds of processor time so far, those of children included."""
        total = 0.0
        for process in self._family():
            with suppress(psutil.Error):
                times = process.cpu_times()
                total += times.user + times.system
        with suppress(psutil.Error):
            own = self._process.cpu_times()
            total += own.children_user + own.children_system
        return total


def p95(values: Sequence[float]) -> float:
    """The value that 95 % do not pass (nearest rank)."""
    return sorted(values)[max(0, -(-len(values) * 95 // 100) - 1)]


def stop_on_signals() -> None:
    """SIGTERM ends a bench as ctrl+c does: with what it started."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
