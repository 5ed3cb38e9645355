from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from supervision import Stage

# Two busy cores are no reason to fail.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """A place for runs with a stand-in trainer; whatever a test leaves is ended."""
    sockets = Path(tempfile.mkdtemp(prefix="l4-"))  # pytest's own folders have long names
    stage = Stage(tmp_path / "runs", sockets, monkeypatch.setenv)
    yield stage
    stage.clean_up()
    shutil.rmtree(sockets)
