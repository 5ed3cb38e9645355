"""What is seen of a log."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cockpit.logbook import ERROR, INFO, WARNING, Line
from cockpit.widgets.log_view import LogView
from cockpit.widgets.render_logs import LogShown, log_panel


def lines(count: int = 100) -> list[Line]:
    levels = (INFO, INFO, WARNING, INFO, ERROR)
    return [Line(10 * n, n % 2, levels[n % 5], f"line {n:03}") for n in range(count)]


def view(count: int = 100) -> LogView:
    made = LogView()
    made.take(lines(count))
    return made


def test_at_first_the_end_is_followed() -> None:
    one = view()
    shown = one.shown(11, 1000, 1000)
    assert [line.text for line in shown.lines] == [f"line {n:03}" for n in range(90, 100)]
    assert (shown.cursor, shown.place) == (None, "following")
    one.take(lines(120))
    assert one.shown(11, 1200, 1200).lines[-1].text == "line 119"


def test_a_move_holds_still_while_lines_come_and_go() -> None:
    one = view()
    one.move(-9)
    assert one.lines[one.at].text == "line 090"
    one.take(lines(200)[50:])  # the first ones were dropped
    assert one.lines[one.at].text == "line 090" and not one.following
    assert one.move(-1000) and one.at == 0
    assert one.shown(11, 2000, 2000).cursor == 0


def test_the_first_row_moves_only_with_the_cursor() -> None:
    one = view()
    first = [one.shown(11, 1000, 1000).lines[0].text]
    for by in (-1, -8, -1, 9, 1, -50):
        one.move(by)
        first.append(one.shown(11, 1000, 1000).lines[0].text[-3:])
        one.take(lines(300))
    assert first == ["line 090", "090", "090", "089", "089", "090", "044"]


def test_filters_go_round_and_keep_the_place() -> None:
    one = view()
    one.move(-49)  # line 050
    assert one.next_level() == "warnings"
    assert one.lines[one.at].text == "line 052"
    assert one.next_level() == "errors" and one.lines[one.at].text == "line 054"
    assert [one.next_rank() for _ in range(3)] == ["rank 0", "rank 1", "torchrun"]
    assert one.shown(5, 1000, 1000).filters == "torchrun · errors"
    assert one.next_rank() == "all ranks" and one.next_level() == "all"
    assert len(one.lines) == 100


def test_a_line_is_found_from_the_cursor_and_from_a_place() -> None:
    one = view()
    one.query = "LINE 05"
    assert one.find(-1) and one.lines[one.at].text == "line 059"
    assert one.find(-1) and one.lines[one.at].text == "line 058"
    assert one.find(1) and not one.find(1) and one.lines[one.at].text == "line 059"
    one.query = "line 099"
    assert one.find(-1, near=990) and one.at == 99
    assert one.find(1, near=990) and one.at == 99
    one.query = "line 000"
    assert one.find(1, near=0) and one.at == 0


def test_the_drawing_has_rank_level_and_what_was_found() -> None:
    some = [
        Line(0, None, INFO, "--- attempt 2 --- 2026-11-25", 2),
        Line(1, 0, WARNING, "careful"),
        Line(2, 12, ERROR, "x" * 100),
    ]
    text = log_panel(40, 6, LogShown(some, 2, "errors", "93 %", "care")).lines()
    assert text[0].startswith("trainer.log ─") and text[0].endswith("93 % errors")
    assert text[1].startswith("attempt 2 --- 2026-11-25 ─")
    assert text[2] == "  0 ! careful"
    assert text[3] == " 12 ✗ " + "x" * 33 + "…"
    assert "no line is left" in log_panel(40, 3, LogShown([], filters="errors")).lines()[1]
    assert "nothing was printed" in log_panel(40, 3, LogShown([])).lines()[1]


moves = st.lists(
    st.one_of(
        st.integers(-300, 300), st.sampled_from(["level", "rank", "grow", "find", "all", "shorter"])
    ),
    max_size=12,
)


@given(st.integers(0, 30), moves, st.integers(0, 12), st.integers(1, 12))
def test_nothing_breaks_it(count: int, done: list[int | str], width: int, height: int) -> None:
    one = view(count)
    one.query = "line 01"
    for what in done:
        if isinstance(what, int):
            one.move(what)
        elif what == "level":
            one.next_level()
        elif what == "rank":
            one.next_rank()
        elif what == "find":
            one.find(-1)
        elif what == "all":
            one.show_all()
        else:
            one.take(lines(count + 5 if what == "grow" else 3))
    shown = one.shown(height, 1000, 1000)
    assert 0 <= one.at <= max(len(one.lines) - 1, 0)
    assert len(shown.lines) <= max(height - 1, 1)
    if shown.cursor is not None and shown.lines:
        assert shown.lines[shown.cursor] == one.lines[one.at]
    log_panel(width, height, shown)
