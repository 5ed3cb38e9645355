"""A runs folder of its own for each test, the command line, and no process left behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.desk import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A terminal at which commands are typed; checks at the end that nothing goes on."""
    desk = Desk(tmp_path / "runs")
    yield desk
    left = desk.end_everything()
    assert not left, f"left behind: {left}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "e2e" in Path(item.fspath).parts:
            item.add_marker(pytest.mark.e2e)
