"""A canvas's rows: few runs, and every cell looks as its ink says."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cockpit.widgets.canvas import strip
from cockpit.widgets.grid import Grid, Ink
from cockpit.widgets.palette import HEAT_LEVELS, style

cell = st.tuples(
    st.sampled_from(" a▲█"), st.integers(0, Ink.HEAT + HEAT_LEVELS - 1) | st.just(int(Ink.TEXT))
)


@given(st.lists(cell, min_size=1, max_size=40), st.integers(0, 45), st.integers(1, 45))
def test_every_cell_looks_as_its_ink_says(
    cells: list[tuple[str, int]], start: int, width: int
) -> None:
    grid = Grid(len(cells), 1)
    grid.chars[0] = [ord(char) for char, _ in cells]
    grid.inks[0] = [ink for _, ink in cells]
    found = strip(grid, 0, start, width)
    seen = [(char, part.style) for part in found for char in part.text]
    wanted = [*cells[start : start + width], *[(" ", 0)] * width][:width]
    assert [char for char, _ in seen] == [char for char, _ in wanted]
    for (char, got), (_, ink) in zip(seen, wanted, strict=True):
        assert got is not None
        assert got.bgcolor == style(ink).bgcolor
        if char != " ":
            assert (got.color, got.bold) == (style(ink).color, style(ink).bold)


def test_blanks_between_words_start_no_runs() -> None:
    grid = Grid(20, 1)
    grid.put(0, 0, "loss", Ink.DIM)
    grid.put(0, 8, "2.41", Ink.STRONG)
    assert len(list(strip(grid, 0, 0, 20))) == 2
    assert np.array_equal(grid.inks[0, 4:8], [0] * 4)
