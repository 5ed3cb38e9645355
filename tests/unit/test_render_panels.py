"""Header, memory, events, home, and the units they are written in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cockpit.widgets import units
from cockpit.widgets.grid import Grid, Ink, cells_of, decode, fit
from cockpit.widgets.render_events import Event, events_panel, wrap
from cockpit.widgets.render_header import Header, footer, header
from cockpit.widgets.render_home import PresetRow, RunRow, home, row_at

GIB = 2**30


@given(st.text())
def test_no_text_can_move_the_cursor_or_take_two_columns(text: str) -> None:
    shown = decode(cells_of(text))
    assert all(char.isprintable() for char in shown)


def test_control_and_wide_characters_are_replaced() -> None:
    assert decode(cells_of("a\x1b[2Jb\t漢é")) == "a?[2Jb ?é"


@given(st.text(max_size=30), st.integers(-5, 40), st.integers(-2, 4))
def test_what_lies_outside_a_grid_is_cut_off(text: str, column: int, row: int) -> None:
    grid = Grid(20, 3)
    grid.put(row, column, text, Ink.BAD)
    assert grid.chars.shape == (3, 20)


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.00 KiB"), (1.5 * GIB, "1.50 GiB"), (None, "NA"),
     (999.7 * 2**20, "0.98 GiB"), (140 * GIB, "140 GiB")],
)  # fmt: skip
def test_bytes(size: float | None, text: str) -> None:
    assert units.gib(size) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(2.12345, "2.1235"), (12.3456, "12.346"), (3e-4, "3.00e-4"), (None, "NA"), (0.0, "0"),
     (float("nan"), "NA"), (22595.1, "22,595"), (3e-3, "0.0030")],
)  # fmt: skip
def test_numbers(value: float | None, text: str) -> None:
    assert units.number(value) == text


def test_times_and_counts() -> None:
    assert [units.span(s) for s in (14, 125, 12_000, 400_000, None)] == [
        "14 s", "2 m 05 s", "3 h 20 m", "4 d 15 h", "NA",
    ]  # fmt: skip
    assert [units.short_seconds(s) for s in (0.34, 1.25, 41, 130)] == [
        "340 ms", "1.25 s", "41.0 s", "2 m 10 s",
    ]  # fmt: skip
    assert [units.count(n) for n in (981, 9_812, 12_345, 4.56e6)] == [
        "981", "9,812", "12.3k", "4.56M",
    ]  # fmt: skip
    assert units.part(9.1 * GIB, 31.2 * GIB) == "9.10/31.2 GiB"


def shown(**changes: object) -> Header:
    values = {
        "name": "a-run", "preset": "tiny", "state": "training", "step": 41, "steps": 120,
        "loss": 5.1234, "eta": 130.0, "tokens_per_second": 1234.0, "seconds_per_step": 0.83,
        "lr": 2e-3,
    }  # fmt: skip
    return Header(**{**values, **changes})  # type: ignore[arg-type]


def test_the_header_tells_state_progress_and_figures() -> None:
    text = header(120, 4, shown(attempt=2, restarts_left=2)).lines()
    assert text[0].startswith(" ▶ training")
    assert text[0].endswith("attempt 2 · 2 restarts left")
    assert "a-run · preset tiny" in text[0]
    for part in ("step  41/120 ━", "34 %", "loss 5.1234", "2 m 10 s", "1,234", "830 ms"):
        assert part in text[1]


def test_the_header_says_what_broke_and_what_is_done_about_it() -> None:
    notice = ("bad", "rank 1: killed by signal 9 — starting again from the newest checkpoint")
    text = header(60, 4, shown(state="restarting", waits="(2 left) 3 s", notice=notice)).lines()
    assert text[0].startswith(" ↻ restarting (2 left) 3 s")
    assert " ".join((text[2] + text[3]).split()) == f"✗ {notice[1]}"


@given(st.integers(1, 220), st.integers(1, 6), st.integers(0, 10**7), st.integers(0, 10**7))
def test_the_header_draws_at_any_size(width: int, height: int, step: int, steps: int) -> None:
    grid = header(width, height, shown(step=step, steps=steps, notice=("bad", "x " * 200)))
    assert (grid.width, grid.height) == (width, height)


def test_the_footer_keeps_whole_keys() -> None:
    keys = [("p", "pause"), ("c", "checkpoint")]
    assert footer(12, 2, ("note", "pause sent…"), keys).lines() == [" • pause s…", " p pause"]


def test_events_are_wrapped_and_the_newest_is_last() -> None:
    events = [Event(0.0, "note", f"event {n}") for n in range(9)]
    events.append(Event(0.0, "bad", "rank 1 died", "starting again from step 75"))
    text = events_panel(40, 6, events).lines()
    assert text[-1].endswith("75") or text[-1].endswith("from step 75")
    assert "✗ rank 1 died" in text[-2]
    assert text[1].endswith("event 6")
    back = events_panel(40, 6, events, back=4).lines()
    assert "4 newer below" in back[0]
    assert not any("rank 1" in line for line in back)


@given(st.text(max_size=200), st.integers(1, 60), st.integers(1, 4))
def test_wrapping_keeps_to_the_width_and_to_the_number_of_lines(
    text: str, width: int, most: int
) -> None:
    lines = wrap(text, width, most)
    assert len(lines) <= most
    assert all(len(line) <= width for line in lines)
    if len(text) <= width:
        assert lines == [" ".join(text.split())]


def test_fit() -> None:
    assert [fit("abcdef", n) for n in (6, 5, 1, 0)] == ["abcdef", "abcd…", "…", ""]


def test_home_lists_presets_and_runs_under_one_cursor() -> None:
    rows = [
        PresetRow("tiny", "random 4-layer Llama 4"),
        RunRow("/r/id1", "id1", "first", "tiny", "paused", 41, 120, 5.1234, 0.0),
    ]
    text = home(80, 12, rows, 1, 7200.0).lines()
    assert "tiny" in text[1]
    assert text[5].split() == ["›", "‖", "paused", "first", "tiny", "41/120", "5.1234", "2", "h"]
    assert [row_at(rows, 12, 1, y) for y in (0, 1, 5, 6)] == [None, 0, 1, None]
