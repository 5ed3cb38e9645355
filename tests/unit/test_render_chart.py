"""A chart with all that is around its lines."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cockpit.decimate import Bands
from cockpit.widgets.glyphs import ASCII
from cockpit.widgets.grid import Ink
from cockpit.widgets.render_axes import Scale
from cockpit.widgets.render_chart import GUTTER, Chart, chart, room, waiting
from cockpit.widgets.render_plot import Curve, curve_of

SCALE = Scale(2.0, 3.0, (2.0, 2.5, 3.0))


def flat(width: int, low: float = 2.0, high: float = 3.0, label: str = "loss", n: int = 0) -> Curve:
    bands = Bands.empty(0, 100, 2 * width)
    bands.count[:] = bands.good[:] = 1
    bands.low[:], bands.high[:], bands.total[:] = low, high, (low + high) / 2
    return curve_of(label, bands, (0, 2 * width), 3.0, inks=(Ink.BAND, Ink.CURVE + n))


def test_a_chart_says_what_it_shows() -> None:
    shown = Chart("loss", [flat(52)], SCALE, 0, 100, values=["2.25"], note="3 not finite",
                  restarts=[50])  # fmt: skip
    grid = chart(60, 12, shown)
    text = grid.lines()
    assert text[0].startswith("loss ─")
    assert text[0].endswith("2.25 3 not finite")
    assert text[1].split()[0] == "3.0"
    assert "↻" in text[-1]
    assert text[-1].split()[:2] == ["step", "0"]


def test_values_that_are_no_numbers_are_marked_above_their_place() -> None:
    curve = flat(20)
    curve.bands.good[10] = 0
    grid = chart(20 + GUTTER + 1, 8, Chart("loss", [curve], SCALE, 0, 100))
    assert grid.text(1).index("✕") == GUTTER + 5
    assert grid.inks[1, GUTTER + 5] == Ink.BAD


def test_a_crosshair_runs_down_and_its_place_is_in_the_title() -> None:
    curve = flat(40, 2.4, 2.6)
    shown = Chart("loss", [curve], SCALE, 0, 100, where="step 25", values=["2.5"], cursor=10)
    grid = chart(40 + GUTTER + 1, 12, shown)
    assert "2.5 step 25" in grid.text(0)
    column = [line[GUTTER + 10] for line in grid.lines()[1:-1]]
    assert column[0] == column[-1] == "┊"
    assert any(ord(char) > 0x2800 for char in column)  # the line itself stays seen


def test_several_curves_have_letters_and_a_legend() -> None:
    curves = [flat(40, 2.1, 2.1, "first", 0), flat(40, 2.9, 2.9, "second", 1)]
    text = chart(48, 14, Chart("loss of 2 runs", curves, SCALE, 0, 100, values=["2.1", "2.9"]))
    assert text.lines()[1].split() == ["a", "first", "2.1", "b", "second", "2.9"]
    ends = {line[GUTTER + 39 : GUTTER + 40] for line in text.lines()[2:-1]}
    assert {"a", "b"} <= ends


def test_a_legend_that_does_not_fit_counts_the_rest() -> None:
    curves = [flat(40, label=f"rank {n}", n=n % 8) for n in range(12)]
    shown = Chart("memory", curves, SCALE, 0, 100, values=["61.25"] * 12)
    legend = chart(48, 14, shown).text(1)
    assert legend.split()[:3] == ["a", "rank", "0"]
    assert legend.rstrip().endswith("more")


@given(
    st.integers(1, 130), st.integers(1, 50), st.integers(1, 3), st.booleans(), st.booleans(),
    st.booleans(),
)  # fmt: skip
def test_any_size_draws(
    width: int, height: int, number: int, hint: bool, ascii_only: bool, stacked: bool
) -> None:
    columns, _ = room(width, height, number, hint)
    shown = Chart(
        "loss", [flat(columns, n=n) for n in range(number)], SCALE, 0, 100, stacked=stacked,
        values=["2.25"] * number, where="step 12", cursor=columns // 2, restarts=[-1, 30, 200],
        hint=[("x", "axis")] * hint,
    )  # fmt: skip
    grid = chart(width, height, shown, *([ASCII] if ascii_only else []))
    assert (grid.width, grid.height) == (width, height)
    assert grid.inks.max() < Ink.HEAT
    assert waiting(width, height, "loss", "loading the model, 12 s").width == width


def test_nothing_but_gaps_draws_too() -> None:
    bands = Bands.empty(0, 100, 80)
    bands.count[:] = 1
    curve = curve_of("loss", bands, (0, 80), 3.0)
    grid = chart(40 + GUTTER + 1, 10, Chart("loss", [curve], SCALE, 0, 100, values=["not finite"]))
    assert "✕" * 40 in grid.text(1)
    assert not np.isfinite(curve.smooth).any()
    assert math.isnan(curve.line[0][0])
