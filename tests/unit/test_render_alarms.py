"""The badge on the header and the list, in characters."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cockpit.widgets.grid import Ink
from cockpit.widgets.render_alarms import Shown, alarm_list, badge, ordered
from cockpit.widgets.render_header import Header, header
from trainer.contract.messages import Alarm


def alarm(severity: str, layer: int = 2, since: float = 0.0, seen: str = "") -> Shown:
    return Shown(
        Alarm(
            state="raised", rule="expert-overload", layer=layer, expert=5, value=7.1, step=9,
            severity=severity, since=since,
            text=f"layer {layer} expert 5 is above 6× the even share, at 7.1×; 2 of 16 like it",
        ),
        seen,
    )  # fmt: skip


def test_the_worst_is_first_and_of_one_severity_what_nobody_has_seen() -> None:
    alarms = [alarm("note", 0), alarm("critical", 1, seen="me"), alarm("warning", 2),
              alarm("critical", 3, 5.0), alarm("critical", 4, 9.0)]  # fmt: skip
    assert [shown.alarm.layer for shown in ordered(alarms)] == [4, 3, 1, 2, 0]


def test_the_badge_says_the_worst_in_words_and_by_a_mark() -> None:
    found = badge([alarm("warning"), alarm("critical", 3), alarm("note")], over=False)
    assert found is not None
    assert found.texts == (
        "!! critical: layer 3 expert 5 is above 6× the even share, at 7.1× +2",
        "!! critical: layer 3 expert 5 +2",
        "!! critical +2",
        "!! 3",
    )
    assert found.ink == Ink.BAD
    assert badge([], over=False) is None


def test_it_says_what_was_seen_and_what_is_new() -> None:
    seen = badge([alarm("critical", seen="me")], over=False)
    assert seen is not None
    assert seen.texts[2] == "!! critical (seen)"
    assert seen.ink == Ink.DIM
    some = badge([alarm("critical", seen="me"), alarm("note")], over=False)
    assert some is not None
    assert some.texts[2] == "!! critical +1 (1 new)"
    ended = badge([alarm("warning")], over=True)
    assert ended is not None
    assert ended.texts[1] == "! ended with warning: layer 2 expert 5"


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_the_header_has_room_for_it_at_any_width(width: int) -> None:
    worst = badge([alarm("critical"), alarm("note")], over=False)
    shown = Header("a-run-with-a-rather-long-name", "scout-qlora", "training", attempt=2,
                   restarts_left=1, role="watching", alarm=worst)  # fmt: skip
    line = header(width, 4, shown).text(0)
    assert "▶ training" in line
    assert "a-run-w" in line
    assert "!! critical" in line
    if width >= 120:
        assert "watching · attempt 2 · 1 restart left" in line
    plain = header(width, 4, Header("run", "tiny", "training", attempt=2, restarts_left=1))
    assert plain.text(0).rstrip().endswith("attempt 2 · 1 restart left")


def test_the_list_says_since_when_and_who_has_seen_it() -> None:
    alarms = ordered([alarm("critical", since=100.0, seen="cockpit on pts/3"), alarm("note", 7)])
    lines = alarm_list(110, 8, alarms, 1, 160.0, muted=True).lines()
    assert "2 raised" in lines[0]
    assert "bell off" in lines[0]
    assert "!! critical" in lines[1]
    assert "1 m 00 s" in lines[1]
    assert "✓ cockpit on pts/3" in lines[1]
    assert lines[2].startswith("› i  note")
    assert "enter acknowledges" in lines[-1]
    assert "none: all is as it should be" in alarm_list(80, 8, [], 0, 0.0, False).lines()[1]


@given(st.integers(0, 130), st.integers(0, 30), st.integers(0, 40), st.integers(0, 39))
def test_it_draws_at_any_size(width: int, height: int, count: int, cursor: int) -> None:
    alarms = ordered([alarm("warning", layer) for layer in range(count)])
    grid = alarm_list(width, height, alarms, min(cursor, max(count - 1, 0)), 10.0, False)
    assert (grid.width, grid.height) == (width, height)
    if count and width >= 20 and height >= 5:
        assert any(line.startswith("›") for line in grid.lines()), "the cursor is in sight"
