"""The bell, the notification, and when there is one."""

from __future__ import annotations

import pytest

from cockpit.ringing import Bell, ring
from trainer.contract.messages import Alarm, Step

XTERM = {"TERM": "xterm-256color"}


def test_a_terminal_of_unknown_make_gets_both_notifications() -> None:
    assert ring("run", "warning: hot", XTERM) == (
        "\a\x1b]9;run: warning: hot\a\x1b]777;notify;run;warning: hot\a"
    )


@pytest.mark.parametrize(
    ("environment", "wanted", "unwanted"),
    [
        ({"TERM": "foot"}, "]777;", "]9;"),
        ({"TERM": "rxvt-unicode-256color"}, "]777;", "]9;"),
        ({"TERM": "xterm-kitty"}, "]9;", "]777;"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "WezTerm"}, "]9;", "]777;"),
    ],
)
def test_one_of_known_make_gets_the_one_it_knows(
    environment: dict[str, str], wanted: str, unwanted: str
) -> None:
    sequence = ring("run", "hot", environment)
    assert wanted in sequence
    assert unwanted not in sequence


@pytest.mark.parametrize("environment", [{}, {"TERM": "dumb"}, {"TERM": "linux"}])
def test_a_console_gets_the_bell_alone(environment: dict[str, str]) -> None:
    assert ring("run", "hot", environment) == "\a"


def test_tmux_and_screen_are_asked_to_pass_it_through() -> None:
    inner = "\x1b]9;run: hot\a"
    tmux = ring("run", "hot", {"TERM": "tmux-256color", "TMUX": "/tmp/tmux-0/default,1,0"})
    assert "\x1bPtmux;" + inner.replace("\x1b", "\x1b\x1b") + "\x1b\\" in tmux
    screen = ring("run", "hot", {"TERM": "screen", "STY": "1.pts-0.host"})
    assert "\x1bP" + inner + "\x1b\\" in screen


def test_no_text_can_end_the_sequence_or_start_another() -> None:
    sequence = ring("run", "a\x1b]52;c;aGk=\a\x07\x9cb", {"TERM": "xterm-kitty"})
    assert sequence.count("\x1b") == 1
    assert sequence.count("\a") == 2
    assert "52;c" not in sequence


def alarm(severity: str, state: str = "raised", expert: int = 5, time: float = 100.0) -> Alarm:
    entry = Alarm(
        state=state, rule="expert-overload", layer=2, expert=expert, value=9.0, step=1,
        severity=severity, text=f"expert {expert} is hot",
    )  # fmt: skip
    entry.time = time
    return entry


def test_it_rings_for_warnings_and_worse_and_when_they_become_worse() -> None:
    bell = Bell()
    step = Step(step=1, loss=1.0, lr=1.0, grad_norm=1.0, tokens=1, seconds=1.0, split={})
    assert bell.hear([step, alarm("note")], 100.0) is None
    assert bell.hear([alarm("warning")], 100.0) == "warning: expert 5 is hot"
    assert bell.hear([alarm("critical")], 100.0) == "critical: expert 5 is hot"
    assert bell.hear([alarm("warning")], 100.0) is None, "better is no news for a bell"
    assert bell.hear([alarm("warning", "cleared"), alarm("warning")], 100.0) is not None


def test_many_at_once_ring_once_for_the_worst() -> None:
    entries = [alarm("warning", expert=1), alarm("critical", expert=2), alarm("note", expert=3)]
    assert Bell().hear(entries, 100.0) == "critical: expert 2 is hot (and 1 more)"


def test_what_was_raised_before_anybody_looked_does_not_ring() -> None:
    bell = Bell()
    assert bell.hear([alarm("warning")], 1000.0) is None
    assert bell.hear([alarm("critical", time=999.0)], 1000.0) is not None
