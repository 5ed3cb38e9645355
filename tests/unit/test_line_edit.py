"""Typing a line."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cockpit.widgets.grid import Grid, Ink
from cockpit.widgets.line_edit import LineEdit

KEYS = (
    *("backspace", "delete", "ctrl+d", "ctrl+u", "ctrl+k", "ctrl+w", "left", "right", "home"),
    *("end", "ctrl+a", "ctrl+e", "escape", "f1", "a"),
)


def typed(edit: LineEdit, *keys: str) -> str:
    for key in keys:
        edit.key(key, key if len(key) == 1 else None)
    return edit.text


def test_keys_do_what_they_do_in_a_shell() -> None:
    assert typed(LineEdit(), *"alpha", "backspace", "home", "X") == "Xalph"
    assert typed(LineEdit("one two"), "ctrl+w") == "one "
    assert typed(LineEdit("one two"), "left", "left", "ctrl+k", "ctrl+a", "delete") == "ne t"
    assert typed(LineEdit("one"), "left", "ctrl+u") == "e"
    assert typed(LineEdit("one"), "end", "end", "right", "!") == "one!"
    assert not LineEdit("one").key("f1") and not LineEdit("one").key("escape", "\x1b")


def test_of_what_is_pasted_the_first_line_counts() -> None:
    edit = LineEdit("ad")
    edit.cursor = 1
    edit.insert("b\tc\x1b\nrm -rf /")
    assert (edit.text, edit.cursor) == ("abcd", 3)


def test_the_cursor_is_always_seen() -> None:
    grid = Grid(12, 1)
    edit = LineEdit("0123456789abcdef")
    edit.draw(grid, 0, 1, 8)
    assert grid.text(0) == " 9abcdef    "
    assert grid.inks[0].tolist().index(Ink.CURSOR) == 8


@given(st.text(max_size=20), st.lists(st.sampled_from(KEYS), max_size=40), st.integers(1, 30))
def test_no_key_breaks_it(text: str, keys: list[str], width: int) -> None:
    edit = LineEdit()
    edit.insert(text)
    typed(edit, *keys)
    assert 0 <= edit.cursor <= len(edit.text)
    grid = Grid(width + 2, 1)
    edit.draw(grid, 0, 1, width)
    assert Ink.CURSOR in grid.inks[0]
