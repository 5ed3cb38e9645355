"""What stands for characters that a terminal lacks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.drivers.linux_driver import LinuxDriver

from cockpit import terminal
from cockpit.ascii import plain
from cockpit.driver import LeanDriver
from cockpit.terminal import Terminal
from cockpit.widgets import palette
from cockpit.widgets.grid import cells_of
from cockpit.widgets.render_bar import Part
from cockpit.widgets.render_events import MARKS
from cockpit.widgets.render_header import state_mark

STATES = (
    "starting", "loading", "training", "checkpointing", "evaluating", "paused", "stopping",
    "restarting", "done", "stopped", "failed", "lost",
)  # fmt: skip


@given(st.text())
def test_any_text_of_a_panel_becomes_ascii_of_the_same_width(text: str) -> None:
    shown = "".join(map(chr, cells_of(text)))
    found = plain(shown)
    assert found.isascii()
    assert len(found) == len(shown)


def test_what_is_as_wide_as_two_cells_still_is_and_what_has_no_width_goes() -> None:
    assert plain("a🔎b") == "a? b"
    assert plain("e\u0301\u200bx") == "ex"


def test_letters_lose_their_accents_and_control_sequences_stay() -> None:
    assert plain("\x1b[38;5;117mrésumé\x1b[0m") == "\x1b[38;5;117mresume\x1b[0m"


def test_boxes_keep_their_corners() -> None:
    assert plain("╭──╮\n│é │\n╰──╯") == "+--+\n|e |\n+--+"
    assert plain("━━──") == "==--"


def test_what_is_told_apart_by_its_mark_still_is() -> None:
    marks = [palette.DEAD, palette.COLD, palette.HOT, palette.STUCK, palette.ALARM]
    assert len(set(map(plain, [*marks, palette.NOTHING]))) == 6
    assert len(set(map(plain, (palette.RISING, palette.FALLING, palette.STEADY)))) == 3
    assert len(set(map(plain, palette.RISE))) == len(palette.RISE)
    assert len(set(map(plain, palette.RUN))) == len(palette.RUN)
    device = (Part.ALLOCATED, Part.RESERVED, Part.CUDA, Part.OTHER, Part.FREE, Part.PEAK)
    assert len({plain(part.glyph) for part in device}) == 6
    tones = [mark for mark, _ in MARKS.values()]
    assert len(set(map(plain, tones))) == len(tones)
    told = {state_mark(state)[0] for state in STATES}
    assert len(set(map(plain, told))) == len(told)


def test_the_driver_writes_ascii_where_there_is_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    monkeypatch.setattr(LinuxDriver, "write", lambda _driver, data: written.append(data))
    driver = LeanDriver.__new__(LeanDriver)
    before = terminal.in_use()
    try:
        for ascii_only in (False, True):
            terminal.use(Terminal(ascii=ascii_only))
            driver.write("\x1b[31m▲ loss ─\x1b[0m")
    finally:
        terminal.use(before)
    assert written == ["\x1b[31m▲ loss ─\x1b[m", "\x1b[31m^ loss -\x1b[m"]
