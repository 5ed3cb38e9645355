"""The trainer's log: ranks, levels, windows, search."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cockpit import logbook
from cockpit.logbook import (
    DEBUG,
    ERROR,
    INFO,
    LONGEST,
    WARNING,
    Kept,
    Levels,
    LogWindow,
    found,
    search_file,
)

LOG = b"""\
--- attempt 1 --- 2026-11-25 05:00:30
[rank 0] DeepSpeed built successfully
[rank 1] /lib/modeling.py:33: FutureWarning: it is deprecated
[rank 1]   warnings.warn(
[rank 1] Traceback (most recent call last):
[rank 0] step 3
[rank 1]   File "loop.py", line 3, in step
[rank 1]     loss.backward()
[rank 1] torch.OutOfMemoryError: CUDA out of memory
[rank 1] bye
W1125 05:00:31.123000 99 torch/distributed/elastic] Sending process 5 closing signal
E1125 05:00:32.123000 99 torch/distributed/elastic] failed (exitcode: 1)
[rank 0] [rank0]: ValueError: no
[rank 0] DEBUG: no errors, an Error is a class
"""


def lines_of(data: bytes) -> list[logbook.Line]:
    levels, lines, offset = Levels(), [], 0
    for piece in data.splitlines(keepends=True):
        lines.append(levels.line(offset, piece.rstrip(b"\n")))
        offset += len(piece)
    return lines


def test_each_line_has_its_rank_and_level() -> None:
    told = [(line.rank, line.level) for line in lines_of(LOG)]
    assert told == [
        (None, INFO), (0, INFO), (1, WARNING), (1, INFO), (1, ERROR), (0, INFO), (1, ERROR),
        (1, ERROR), (1, ERROR), (1, INFO), (None, WARNING), (None, ERROR), (0, ERROR), (0, DEBUG),
    ]  # fmt: skip
    assert lines_of(LOG)[0].attempt == 1
    assert lines_of(LOG)[1].text == "DeepSpeed built successfully"


def test_lines_are_kept_by_rank_and_level() -> None:
    lines = lines_of(LOG)
    assert len(Kept().of(lines)) == len(lines)
    assert [line.rank for line in Kept(rank=0).of(lines)] == [None, 0, 0, 0, 0]
    assert [line.level for line in Kept(level=ERROR).of(lines)] == [INFO] + [ERROR] * 6
    torchrun = Kept(rank=-1, level=WARNING).of(lines)
    assert [line.level for line in torchrun] == [INFO, WARNING, ERROR]


def test_what_a_terminal_would_not_show_is_no_danger() -> None:
    line = Levels().line(0, b"10 %\r20 %\r100 %\r")
    assert line.text == "100 %"
    assert len(Levels().line(0, b"x" * 10**6).text) == LONGEST
    assert Levels().line(0, b"\xff\xfe").text == "��"


@pytest.fixture
def long(tmp_path: Path) -> Path:
    path = tmp_path / "trainer.log"
    path.write_bytes(b"".join(b"[rank %d] line %06d\n" % (n % 4, n) for n in range(20_000)))
    return path


def numbers(window: LogWindow) -> list[int]:
    return [int(line.text.split()[-1]) for line in window.lines]


def test_a_window_holds_the_end_and_follows_it(long: Path) -> None:
    window = LogWindow(long, window=10_000)
    window.load()
    first, *_, last = numbers(window)
    assert last == 19_999 and first > 19_000
    assert numbers(window) == list(range(first, 20_000))
    assert not window.grow()
    with long.open("ab") as file:
        file.write(b"[rank 0] line 020000\n[rank 0] line 02")
    assert window.grow() and numbers(window)[-1] == 20_000
    with long.open("ab") as file:
        file.write(b"0001\n")
    assert window.grow() and numbers(window)[-1] == 20_001


def test_a_window_shows_any_place(long: Path) -> None:
    window = LogWindow(long, window=10_000)
    window.load()
    end = numbers(window)
    window.load(around=21 * 10_000)
    there = numbers(window)
    assert there == list(range(there[0], there[-1] + 1))
    assert there[0] < 10_000 < there[-1] < end[0]
    assert window.lines[window.index(21 * 10_000)].offset == 21 * 10_000
    while window.end < window.size():
        assert window.grow()
    assert numbers(window)[-1] == 19_999
    window.load(around=0)
    assert numbers(window)[0] == 0


def test_a_flood_does_not_fill_the_memory(long: Path) -> None:
    window = LogWindow(long, window=100_000, most=1000)
    window.load()
    assert len(window.lines) == 1000 and numbers(window)[-1] == 19_999
    with long.open("ab") as file:
        for n in range(20_000, 120_000):
            file.write(b"[rank 0] line %06d\n" % n)
    while window.grow():
        assert len(window.lines) <= 3000
    assert numbers(window)[-1] == 119_999
    window.load(around=0)
    assert len(window.lines) == 1000 and numbers(window)[0] == 0
    assert window.end == window.lines[-1].offset + 21  # what was cut off can be read on


def test_a_log_that_is_not_there_or_began_anew(tmp_path: Path) -> None:
    path = tmp_path / "trainer.log"
    window = LogWindow(path)
    window.load()
    assert window.lines == [] and not window.grow()
    path.write_bytes(b"one\ntwo\n")
    assert window.grow() and len(window.lines) == 2
    path.write_bytes(b"three\n")
    assert window.grow() and [line.text for line in window.lines] == ["three"]


def test_a_line_without_end_is_shown_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "trainer.log"
    path.write_bytes(b"x" * 5000)
    window = LogWindow(path, window=2000)
    window.load(around=0)
    assert [line.text for line in window.lines] == ["x" * 2000]
    while window.grow():
        pass
    assert window.end == 5000


def test_search_goes_both_ways_whatever_the_case() -> None:
    lines = lines_of(LOG)
    assert found(lines, "TRACEBACK", 0, 1) == 4
    assert found(lines, "rank", 4, 1) == 12
    assert found(lines, "step", 20, -1) == 6
    assert found(lines, "nowhere", 0, 1) is None
    assert found([], "x", 0, 1) is None


@given(
    st.lists(st.sampled_from([b"", b"ab", b"Abc", b"xx", b"ab ab"]), max_size=30),
    st.integers(1, 40),
    st.data(),
)
def test_the_file_is_searched_as_its_lines_are(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes], block: int, data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "searched.log"
    path.write_bytes(b"".join(piece + b"\n" for piece in pieces))
    offsets = [sum(len(piece) + 1 for piece in pieces[:n]) for n in range(len(pieces) + 1)]
    start = data.draw(st.sampled_from(offsets))
    hits = [o for o, piece in zip(offsets, pieces, strict=False) if b"ab" in piece.lower()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logbook, "WINDOW", block)
        on = list(search_file(path, "AB", start, 1))
        back = list(search_file(path, "AB", start, -1))
    assert on == [o for o in hits if o >= start]
    assert back == [o for o in reversed(hits) if o < start]
