"""Every ink, on every kind of terminal."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from cockpit import terminal
from cockpit.terminal import DEPTHS, Depth, Terminal
from cockpit.widgets.canvas import strip
from cockpit.widgets.grid import Grid, Ink
from cockpit.widgets.palette import HEAT_LEVELS, style

INKS = range(Ink.HEAT + HEAT_LEVELS)


@pytest.fixture(autouse=True)
def used() -> Iterator[Callable[[Terminal], None]]:
    before = terminal.in_use()
    yield terminal.use
    terminal.use(before)


def drawn(text: str, inks: list[int]) -> list[tuple[str, object]]:
    """Each cell: its character and style."""
    grid = Grid(len(text), 1)
    grid.put(0, 0, text)
    grid.inks[0] = inks
    return [(char, part.style) for part in strip(grid, 0, 0, len(text)) for char in part.text]


@pytest.mark.parametrize("depth", DEPTHS)
def test_text_is_never_of_its_backgrounds_colour(depth: Depth) -> None:
    terminal.use(Terminal(depth))
    for ink in INKS:
        look = style(ink)
        assert look.color is None or look.color != look.bgcolor


def test_with_16_colours_none_is_of_more() -> None:
    terminal.use(Terminal("16"))
    for ink in INKS:
        for colour in (style(ink).color, style(ink).bgcolor):
            assert colour is not None
            assert colour.number is not None
            assert colour.number < 16


def test_without_colour_no_style_has_one_and_the_pointer_is_reversed() -> None:
    terminal.use(Terminal("none"))
    assert all(style(ink).color is style(ink).bgcolor is None for ink in INKS)
    assert style(Ink.POINTER).reverse
    assert style(Ink.CURSOR).reverse


@pytest.mark.parametrize("depth", ["16", "none"])
def test_a_map_without_backgrounds_still_tells_few_from_even_from_many(depth: Depth) -> None:
    terminal.use(Terminal(depth))
    cells = drawn(" " * HEAT_LEVELS, [Ink.HEAT + level for level in range(HEAT_LEVELS)])
    few, even, many = cells[0], cells[7], cells[15]
    assert len({few, even, many}) == 3
    assert even[0] == " "
    assert len(set(cells)) >= 6


def test_marks_and_figures_of_a_map_are_not_painted_over() -> None:
    terminal.use(Terminal("none"))
    cells = drawn("▲2.1 ", [Ink.HEAT + 12] * 5)
    assert "".join(char for char, _ in cells)[:4] == "▲2.1"


def test_blanks_are_filled_only_in_maps() -> None:
    terminal.use(Terminal("none"))
    assert {char for char, _ in drawn("    ", [Ink.TEXT, Ink.DIM, Ink.CURSOR, Ink.TRACK])} == {" "}


def test_with_many_colours_a_maps_blanks_stay_blank() -> None:
    terminal.use(Terminal("256"))
    cells = drawn(" " * 4, list(np.arange(Ink.HEAT, Ink.HEAT + 4)))
    assert {char for char, _ in cells} == {" "}
