"""Fewer bytes for colours: the picture stays the same."""

import pyte
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cockpit.sgr import lean

SIZE = (20, 4)
colour = st.sampled_from(["5;16", "5;231", "2;1;2;3"])
parameter = st.one_of(
    colour.map("38;{}".format),
    colour.map("48;{}".format),
    st.sampled_from(["1", "3", "4", "7", "9", "31", "97", "42", "103", "39", "49", "0", ""]),
)
style = st.lists(parameter, min_size=1, max_size=4).map(lambda codes: f"\x1b[{';'.join(codes)}m")
move = st.sampled_from(["\r\n", "\x1b[2;3H", "\x1b[3;1H"])
text = st.text(" a█", min_size=1, max_size=4)
frame = st.lists(style | move | text, max_size=20).map(lambda parts: "".join(parts) + "\x1b[0m")


def cells(output: str) -> list[object]:
    """All that can be seen of a screen."""
    screen = pyte.Screen(*SIZE)
    pyte.Stream(screen).feed(output)
    found: list[object] = []
    for y in range(SIZE[1]):
        for x in range(SIZE[0]):
            cell = screen.buffer[y][x]
            lines = cell.bg, cell.reverse, cell.underscore, cell.strikethrough
            if cell.data == " " and not any(lines[1:]):
                found.append((" ", cell.bg))
            else:
                found.append((cell.data, cell.fg, cell.bold, cell.italics, *lines))
    return found


@given(st.lists(frame, max_size=3))
def test_it_looks_the_same(frames: list[str]) -> None:
    assert cells("".join(map(lean, frames))) == cells("".join(frames))


@given(frame)
def test_it_is_no_longer_and_leaves_nothing_set(output: str) -> None:
    assert len(lean(output)) <= len(output)
    assert lean(lean(output)) == lean(output)
    after = lean(output) + "a"
    assert cells(after) == cells(output + "a")


def test_a_digit_that_changes_costs_little() -> None:
    one = "\x1b[38;5;246;48;5;233mstep \x1b[0m\x1b[1;38;5;231;48;5;233m308\x1b[0m"
    assert lean(one) == "\x1b[38;5;246;48;5;233mstep \x1b[1;38;5;231m308\x1b[m"


@pytest.mark.parametrize("strange", ["\x1b[21m", "\x1b[38m", "\x1b[38;7;1m"])
def test_what_is_not_known_is_left_alone(strange: str) -> None:
    output = f"\x1b[31ma\x1b[0m{strange}b\x1b[0m"
    assert lean(output) == output
