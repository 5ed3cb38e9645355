"""Filtering and sorting runs, and reading them for a list."""

from __future__ import annotations

import itertools
import math
import time
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from cockpit import runs
from cockpit.screens.listing import ORDERS, after, listed
from cockpit.screens.run_list import PIECE, RunList
from cockpit.widgets.render_home import RunRow
from trainer.contract import messages, presets

NAMES = ("warm", "Baseline", "lr-1e-3")
rows = st.builds(
    RunRow,
    key=st.uuids().map(str),
    id=st.sampled_from(["20260101-tiny", "20260102-scout"]),
    name=st.sampled_from(NAMES),
    preset=st.sampled_from(["tiny", "scout"]),
    state=st.sampled_from(["training", "failed", "done", "from-the-future"]),
    step=st.integers(0, 99),
    steps=st.integers(0, 99),
    loss=st.none() | st.floats(0, 10),
    created=st.floats(0, 1e9),
)


def row(name: str, state: str = "done", loss: float | None = None, created: float = 0.0) -> RunRow:
    return RunRow(name, f"id-{name}", name, "tiny", state, 1, 2, loss, created)


def names(found: list[RunRow]) -> list[str]:
    return [one.name for one in found]


def test_every_word_must_be_somewhere() -> None:
    some = [row("warm", "failed"), row("warmer"), row("cold", "failed")]
    assert names(listed(some, "WARM")) == ["warm", "warmer"]
    assert names(listed(some, "fail war")) == ["warm"]
    assert names(listed(some, "id-cold")) == ["cold"]
    assert listed(some, "no such thing") == []


def test_sorting() -> None:
    some = [row("b", "done", 2.0, 1), row("A", "training", None, 2), row("c", "failed", 1.0, 3)]
    assert names(listed(some)) == ["c", "A", "b"]  # the newest first
    assert names(listed(some, order="run")) == ["A", "b", "c"]
    assert names(listed(some, order="state")) == ["A", "c", "b"]
    assert names(listed(some, order="loss")) == ["c", "b", "A"]
    assert names(listed(some, order="loss", down=True)) == ["b", "c", "A"]


def test_the_orders_go_round() -> None:
    order = "age"
    for _ in ORDERS:
        order = after(order)
    assert order == "age"


@given(st.lists(rows, max_size=12), st.sampled_from(list(ORDERS)), st.booleans())
def test_sorting_loses_and_adds_nothing(found: list[RunRow], order: str, down: bool) -> None:
    assert sorted(one.key for one in listed(found, "", order, down)) == sorted(
        one.key for one in found
    )


def losses(count: int, start: int = 1) -> bytes:
    return b"".join(
        messages.encode(
            messages.Step(
                step=n,
                loss=8 / n,
                lr=0.1,
                grad_norm=1.0,
                tokens=1,
                seconds=1.0,
                split={},
                seq=n,
                time=time.time(),
            )
        )
        for n in range(start, start + count)
    )


def test_a_row_has_the_whole_curve_of_a_long_run(tmp_path: Path) -> None:
    run = runs.create(tmp_path, "tiny", presets.resolve("tiny"), "long")
    data = losses(12_000)
    assert len(data) > 3 * PIECE
    run.journal.write_bytes(data)
    runs_shown = RunList(tmp_path)
    (shown,) = runs_shown.rows()
    assert (shown.step, shown.key) == (12_000, str(run.path))
    steps = [step for step, _ in shown.trace]
    assert steps[0] < 100 and steps[-1] == 12_000
    assert max(b - a for a, b in itertools.pairwise(steps)) < 700
    assert all(math.isclose(value, 8 / step) for step, value in shown.trace)
    with run.journal.open("ab") as file:
        file.write(losses(1, 12_001) + b'{"type":"step"')
    (shown,) = runs_shown.rows()
    assert (shown.step, shown.trace[-1][0]) == (12_001, 12_001)


def test_two_folders_with_one_id_are_two_rows(tmp_path: Path) -> None:
    """As after cp -r: what is done to one must not be done to the other."""
    run = runs.create(tmp_path, "tiny", presets.resolve("tiny"), "one")
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "run.yaml").write_bytes(run.run_file.read_bytes())
    found = RunList(tmp_path)
    keys = {shown.key for shown in found.rows()}
    assert keys == {str(run.path), str(tmp_path / "copy")}
    assert all(str(found.runs[key].path) == key for key in keys)


def test_a_renamed_run_is_shown_under_its_new_name(tmp_path: Path) -> None:
    run = runs.create(tmp_path, "tiny", presets.resolve("tiny"), "one")
    found = RunList(tmp_path)
    assert names(found.rows()) == ["one"]
    run.name_file.write_text("two\n")
    assert names(found.rows()) == ["two"]


def test_a_long_list_comes_in_parts(tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        runs.create(tmp_path, "tiny", presets.resolve("tiny"), name).journal.write_bytes(losses(3))
    found = RunList(tmp_path)
    first = found.rows(patience=-1.0)
    assert [row.state for row in first] == ["", "", ""] and not found.complete
    assert {row.name for row in first} == {"one", "two", "three"} and len(found.runs) == 3
    assert all(row.step == 3 for row in found.rows()) and found.complete
    assert all(row.step == 3 for row in found.rows(patience=-1.0)) and found.complete
