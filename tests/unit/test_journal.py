"""Reading journals, whole and damaged."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cockpit import journal
from cockpit.lines import LineBuffer
from trainer.contract import messages


def line(seq: int) -> bytes:
    return messages.encode(messages.Log(seq=seq, level="info", text="x" * (seq % 7)))


_FOREIGN = st.sampled_from(
    [b"\n", b"torn\n", b'{"seq":', b"{}\n", b"\xff\xfe\n", b'{"type":"news","seq":"no"}\n', b"[]\n"]
)


@settings(max_examples=40)
@given(
    st.lists(st.tuples(_FOREIGN, st.integers(0, 30)), max_size=5),
    st.integers(0, 30),
    st.lists(st.integers(0, 2000), max_size=20),
)
def test_a_tail_finds_every_entry_however_the_file_grows(
    tmp_path_factory: pytest.TempPathFactory,
    foreign: list[tuple[bytes, int]],
    count: int,
    cuts: list[int],
) -> None:
    parts = [line(seq) for seq in range(1, count + 1)]
    for piece, place in foreign:
        parts.insert(place, piece if piece.endswith(b"\n") else piece + b"\n")
    content = b"".join(parts)
    path = tmp_path_factory.mktemp("tail") / "journal.jsonl"
    tail, found = journal.Tail(path), []
    assert tail.read_new() == []  # no file yet
    for start, end in pairwise([0, *sorted(cuts), 10**6]):
        with path.open("ab") as file:
            file.write(content[start:end])
        found += tail.read_new()
    assert [entry.seq for entry in found] == list(range(1, count + 1))


@settings(max_examples=40)
@given(st.lists(st.tuples(st.booleans(), _FOREIGN), max_size=30), st.integers(0, 40))
def test_the_end_and_any_place_are_found_without_reading_all(
    tmp_path_factory: pytest.TempPathFactory, plan: list[tuple[bool, bytes]], since: int
) -> None:
    path = tmp_path_factory.mktemp("seek") / "journal.jsonl"
    content, seq = b"", 0
    for real, piece in plan:
        if real:
            seq += 1
            content += line(seq)
        else:
            content += piece if piece.endswith(b"\n") else piece + b"\n"
    path.write_bytes(content)
    assert journal.last_seq(path) == seq
    rest = content[journal.offset_after(path, since) :]
    numbers = [n for piece in rest.splitlines() if (n := journal.seq_of(piece))]
    assert numbers == list(range(min(since, seq) + 1, seq + 1))


def test_a_torn_last_line_is_no_entry_but_a_whole_one_without_newline_is(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(line(1) + line(2)[:-5])
    assert [entry.seq for entry in journal.read(path)] == [1]
    path.write_bytes(line(1) + line(2).rstrip())
    assert [entry.seq for entry in journal.read(path)] == [1, 2]
    assert journal.last_seq(path) == 2


def test_a_missing_journal_is_an_empty_one(tmp_path: Path) -> None:
    path = tmp_path / "none"
    assert journal.read(path) == []
    assert journal.last_seq(path) == 0
    assert journal.offset_after(path, 3) == 0
    assert journal.read_ends(path) == []


def test_last_seq_of_lines_longer_than_a_block(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    long = messages.encode(messages.Log(seq=7, level="info", text="x" * 300_000))
    path.write_bytes(line(6) + long + b'{"seq":8,' + b"y" * 200_000)
    assert journal.last_seq(path) == 7


def test_both_ends_tell_of_a_long_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b"".join(line(seq) for seq in range(1, 5001)))
    numbers = [entry.seq for entry in journal.read_ends(path, head=2000, tail=3000)]
    assert numbers[0] == 1 and numbers[-1] == 5000
    assert numbers == sorted(numbers) and len(numbers) < 200


@settings(max_examples=40)
@given(st.lists(st.binary(max_size=30)), st.integers(1, 20), st.randoms())
def test_lines_are_cut_the_same_however_they_arrive(
    pieces: list[bytes], limit: int, random: object
) -> None:
    content = b"\n".join(pieces) + b"\n"
    buffer = LineBuffer(limit)
    cut, found = 0, []
    while cut < len(content):
        size = random.randint(1, 9)  # type: ignore[attr-defined]
        found += buffer.feed(content[cut : cut + size])
        cut += size
    expected = [p for p in content.split(b"\n") if 0 < len(p) <= limit]
    assert found == expected
    assert buffer.skipped == sum(len(p) > limit for p in content.split(b"\n"))


def test_the_journal_is_one_flat_object_a_line() -> None:
    assert json.loads(line(3)) == {"type": "log", "seq": 3, "level": "info", "text": "xxx"}
