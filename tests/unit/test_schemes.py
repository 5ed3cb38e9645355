"""Every ink, on every kind of terminal."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from rich.style import Style

from cockpit import terminal
from cockpit.terminal import DEPTHS, Depth, Terminal, Theme
from cockpit.widgets.canvas import strip
from cockpit.widgets.frame import finished
from cockpit.widgets.grid import Grid, Ink
from cockpit.widgets.palette import HEAT_LEVELS, looks, style

DECORATION = (
    Ink.FAINT, Ink.RULE, Ink.TRACK, Ink.BAND, Ink.SECOND_BAND, Ink.FILL_SOFT,
)  # fmt: skip
"""Not read."""
INKS = range(Ink.HEAT + HEAT_LEVELS)


@pytest.fixture(autouse=True)
def used() -> Iterator[Callable[[Terminal], None]]:
    before = terminal.in_use()
    yield terminal.use
    terminal.use(before)


def contrast(look: Style) -> float:
    lights = []
    for colour in (look.color, look.bgcolor):
        assert colour is not None
        parts = [part / 255 for part in colour.get_truecolor()]
        linear = [
            part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
        ]
        lights.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])
    low, high = sorted(lights)
    return (high + 0.05) / (low + 0.05)


def drawn(text: str, inks: list[int]) -> list[tuple[str, object]]:
    """Each cell: its character and style."""
    grid = Grid(len(text), 1)
    grid.put(0, 0, text)
    grid.inks[0] = inks
    row = strip(finished(grid, looks(terminal.in_use())))
    return [(char, part.style) for part in row for char in part.text]


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("depth", DEPTHS)
def test_text_is_never_of_its_backgrounds_colour(depth: Depth, theme: Theme) -> None:
    terminal.use(Terminal(depth, theme))
    for ink in INKS:
        look = style(ink)
        assert look.color is None or look.color != look.bgcolor


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_with_16_colours_none_is_of_more(theme: Theme) -> None:
    terminal.use(Terminal("16", theme))
    for ink in INKS:
        for colour in (style(ink).color, style(ink).bgcolor):
            assert colour is not None
            assert colour.number is not None
            assert colour.number < 16


def test_words_stand_out_from_the_background_of_either_theme() -> None:
    """WCAG's contrast: 4.5 for what is read, 3 for what only has to be told from the ground."""
    for theme in ("dark", "light"):
        terminal.use(Terminal("256", theme))
        for ink in INKS:
            if ink not in DECORATION:
                least = 4.5 if ink in (Ink.TEXT, Ink.STRONG, Ink.DIM, Ink.BAD) else 3
                assert contrast(style(ink)) >= least, (theme, ink)


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
