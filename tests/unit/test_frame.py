"""From one frame to the next, as a terminal sees it."""

import numpy as np
import pytest
from emulator import Emulator
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from cockpit.sgr import PLAIN, Look, blank
from cockpit.terminal import Terminal
from cockpit.widgets.frame import changed, finished, sequence
from cockpit.widgets.grid import Grid, Ink
from cockpit.widgets.palette import Looks, looks

KINDS = [Terminal(depth, theme) for depth in ("256", "16", "none") for theme in ("dark", "light")]
INKS = [int(ink) for ink in Ink] + [int(Ink.HEAT) + level for level in range(1, 16)]
CHARS = [ord(char) for char in "   ab▲⣿│"]


def grids(height: int, width: int) -> st.SearchStrategy[Grid]:
    def grid(chars: np.ndarray, inks: np.ndarray) -> Grid:
        made = Grid(width, height)
        made.chars, made.inks = chars, inks
        return made

    shape = (height, width)
    chars = arrays.arrays(np.uint32, shape, elements=st.sampled_from(CHARS), fill=st.just(32))
    inks = arrays.arrays(np.uint8, shape, elements=st.sampled_from(INKS), fill=st.just(0))
    return st.builds(grid, chars, inks)


def wanted(grid: Grid, look: Looks) -> list[list[tuple[str, Look]]]:
    """Cell by cell, what is to be seen of a grid."""
    rows = []
    for chars, inks in zip(grid.chars.tolist(), grid.inks.tolist(), strict=True):
        row = []
        for code, ink in zip(chars, inks, strict=True):
            char = chr(code)
            if char == " " and look.ramp and ink >= Ink.HEAT:
                char = look.ramp[ink - Ink.HEAT]
            seen = look.looks[ink]
            row.append((char, blank(seen) if char == " " else seen))
        rows.append(row)
    return rows


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.depth}-{kind.theme}")
@given(data=st.data())
def test_frames_follow_each_other_on_a_terminal(kind: Terminal, data: st.DataObject) -> None:
    height, width = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 24))
    look, shown = looks(kind), Emulator(width, height)
    before: Grid | None = None
    for grid in data.draw(st.lists(grids(height, width), min_size=1, max_size=4)):
        frame = finished(grid, look)
        shown.feed(sequence(frame, changed(before, frame), look))
        assert shown.seen() == wanted(grid, look)
        assert shown.look == PLAIN
        before = frame


@given(grids(4, 20))
def test_of_the_same_frame_nothing_is_sent(grid: Grid) -> None:
    look = looks(Terminal())
    frame = finished(grid, look)
    assert sequence(frame, changed(frame, frame), look) == ""


@given(grids(6, 30), st.integers(0, 5), st.integers(0, 29), st.sampled_from("xyz"))
def test_of_one_cell_that_changed_one_is_sent(grid: Grid, row: int, column: int, char: str) -> None:
    look, shown = looks(Terminal()), Emulator(30, 6)
    before = finished(grid, look)
    grid.chars = grid.chars.copy()
    grid.chars[row, column] = ord(char)
    frame = finished(grid, look)
    text = sequence(frame, changed(before, frame), look)
    shown.feed(text)
    assert shown.touched == {(row, column)}
    assert len(text) <= len("\x1b[99;99H\x1b[1;38;5;231;48;5;233mx\x1b[m")


def test_blanks_that_look_the_same_are_the_same() -> None:
    look = looks(Terminal())
    old, new = Grid(10, 1), Grid(10, 1)
    old.inks[:], new.inks[:] = Ink.TEXT, Ink.BAD
    assert not changed(finished(old, look), finished(new, look)).any()
    new.inks[:, 3] = Ink.CURSOR  # which has a background
    assert np.flatnonzero(changed(finished(old, look), finished(new, look))).tolist() == [3]


def test_words_of_one_ink_set_it_once() -> None:
    look, grid = looks(Terminal()), Grid(30, 1)
    grid.put(0, 0, "tokens", Ink.BAD)
    grid.put(0, 8, "a second", Ink.BAD)
    frame = finished(grid, look)
    assert sequence(frame, changed(None, frame), look).count("m") == 2  # set, and reset


def test_another_size_is_sent_whole() -> None:
    assert changed(Grid(3, 2), Grid(4, 2)).all()
