"""A canvas's rows, as Textual paints them: every cell looks as its ink says."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cockpit import terminal
from cockpit.widgets.canvas import strip
from cockpit.widgets.frame import finished
from cockpit.widgets.grid import Grid, Ink
from cockpit.widgets.palette import HEAT_LEVELS, looks, style

cell = st.tuples(
    st.sampled_from(" a▲█"), st.integers(0, Ink.HEAT + HEAT_LEVELS - 1) | st.just(int(Ink.TEXT))
)


@given(st.lists(cell, min_size=1, max_size=40))
def test_every_cell_looks_as_its_ink_says(cells: list[tuple[str, int]]) -> None:
    grid = Grid(len(cells), 1)
    grid.chars[0] = [ord(char) for char, _ in cells]
    grid.inks[0] = [ink for _, ink in cells]
    row = strip(finished(grid, looks(terminal.in_use())))
    assert row.cell_length == len(cells)
    seen = [(char, part.style) for part in row for char in part.text]
    assert [char for char, _ in seen] == [char for char, _ in cells]
    for (char, got), (_, ink) in zip(seen, cells, strict=True):
        assert got is not None
        assert got.bgcolor == style(ink).bgcolor
        if char != " ":
            assert (got.color, got.bold) == (style(ink).color, style(ink).bold)


def test_a_row_of_one_ink_is_one_run() -> None:
    grid = Grid(20, 1)
    grid.inks[0, ::2] = Ink.DIM  # blanks look the same in both
    assert len(list(strip(finished(grid, looks(terminal.in_use()))))) == 1
    assert np.count_nonzero(grid.inks) == 10
