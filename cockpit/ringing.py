"""What to write to a terminal so that it rings and shows a notification, through tmux and screen
as well. Pure: the environment is an argument."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cockpit.boards import AlarmKey, key_of
from trainer.contract.messages import Alarm, Entry

BELL = "\a"
_ESC = "\x1b"
_BOTH_KNOWN = ("foot", "rxvt")
"""Terminals whose name says that they know OSC 777."""
_NINE = ("kitty", "ghostty", "wezterm", "iterm", "mintty")
"""And those that know OSC 9."""


def ring(title: str, text: str, environment: Mapping[str, str]) -> str:
    """A bell, and a notification by OSC 9 and OSC 777: by one of them where the terminal is known,
    so that none shows it twice; terminals pass over what they do not know."""
    title, text = _plain(title), _plain(text)
    terminal = f"{environment.get('TERM', '')} {environment.get('TERM_PROGRAM', '')}".lower()
    if environment.get("TERM") in (None, "", "dumb", "linux"):
        return BELL  # a console would print what it does not know
    sequences = []
    if not any(name in terminal for name in _BOTH_KNOWN):
        sequences.append(f"{_ESC}]9;{title}: {text}{BELL}")
    if not any(name in terminal for name in _NINE):
        sequences.append(f"{_ESC}]777;notify;{title};{text}{BELL}")
    return BELL + "".join(_through(sequence, environment) for sequence in sequences)


def _through(sequence: str, environment: Mapping[str, str]) -> str:
    """The sequence, wrapped for the multiplexer around us to hand on to its terminal (tmux does so
    with `set -g allow-passthrough on`)."""
    if environment.get("TMUX"):
        escaped = sequence.replace(_ESC, _ESC + _ESC)
        return f"{_ESC}Ptmux;{escaped}{_ESC}\\"
    if environment.get("STY"):
        return f"{_ESC}P{sequence}{_ESC}\\"
    return sequence


def _plain(text: str) -> str:
    """Without control characters, which could end the sequence, and separators."""
    return "".join(c if c.isprintable() and c != ";" else " " for c in text)[:200]


_RINGING = {"warning": 1, "critical": 2}
_FRESH = 60.0
"""Seconds: what is older was raised before anybody looked, and is on the list."""


class Bell:
    """Says when to ring: for warnings and worse, when they are raised or become worse."""

    def __init__(self) -> None:
        self._heard: dict[AlarmKey, int] = {}

    def hear(self, entries: Iterable[Entry], now: float) -> str | None:
        """Take in entries in their order; the text to ring for, once however many there are."""
        ringing: list[Alarm] = []
        for entry in entries:
            if not isinstance(entry, Alarm):
                continue
            key = key_of(entry)
            level = _RINGING.get(entry.severity, 0) if entry.state == "raised" else 0
            if level > self._heard.get(key, 0) and now - entry.time < _FRESH:
                ringing.append(entry)
            self._heard[key] = level
        if not ringing:
            return None
        worst = max(ringing, key=lambda alarm: _RINGING[alarm.severity])
        more = f" (and {len(ringing) - 1} more)" if len(ringing) > 1 else ""
        return f"{worst.severity}: {worst.text or worst.rule}{more}"
