"""Run directories."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from cockpit import runs
from trainer.contract import presets
from trainer.contract.config import Config

CONFIG = presets.resolve("tiny")


def make(root: Path, name: str | None = None, config: Config = CONFIG) -> runs.Run:
    return runs.create(root, "tiny", config, name)


def test_a_run_keeps_its_configuration_exactly(tmp_path: Path) -> None:
    config = presets.resolve("tiny-lora", ["train.lr=1.25e-7", "optimizer.betas=[0.8, 0.99]"])
    run = make(tmp_path, config=config)
    assert run.config() == config
    assert runs.load(run.path) == run
    text = run.run_file.read_text()
    for key in ("run:", "versions:", "git_commit:", "config:", "preset: tiny", "user:", "host:"):
        assert key in text


def test_a_run_is_private(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        run = make(tmp_path)
    finally:
        os.umask(old)
    assert stat.S_IMODE(run.path.stat().st_mode) == 0o700
    assert stat.S_IMODE(run.run_file.stat().st_mode) == 0o600


def test_runs_of_the_same_second_have_different_ids(tmp_path: Path) -> None:
    made: list[runs.Run] = []
    threads = [threading.Thread(target=lambda: made.append(make(tmp_path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({run.id for run in made}) == 8
    assert all(runs.load(run.path) == run for run in made)
    assert not list(tmp_path.glob(".new*"))


def test_a_half_made_run_never_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("cockpit.runs.making.write_private", full)
    with pytest.raises(OSError, match="No space"):
        make(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_broken_folders_are_left_out(tmp_path: Path) -> None:
    run = make(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x")
    for number, text in enumerate((": [", "run: 3", "", "run: {id: x}", "\x00")):
        (tmp_path / f"broken-{number}").mkdir()
        (tmp_path / f"broken-{number}" / "run.yaml").write_text(text)
    assert runs.all_runs(tmp_path) == [run]
    assert runs.all_runs(tmp_path / "nowhere") == []


def test_a_run_is_found_by_id_name_and_prefix(tmp_path: Path) -> None:
    first, second = make(tmp_path, "alpha"), make(tmp_path, "alphabet")
    assert runs.find(tmp_path, None) == second
    assert runs.find(tmp_path, first.id) == first
    assert runs.find(tmp_path, "alpha") == first  # the whole name before a beginning
    assert runs.find(tmp_path, "alphab") == second
    assert runs.find(tmp_path, str(first.path)) == first
    with pytest.raises(runs.AmbiguousRun, match="alphabet, alpha"):
        runs.find(tmp_path, "al")
    with pytest.raises(runs.RunNotFound, match="there are alphabet, alpha"):
        runs.find(tmp_path, "beta")
    with pytest.raises(runs.RunNotFound, match="l4cockpit run tiny"):
        runs.find(tmp_path / "nowhere", None)


@pytest.mark.parametrize("name", ["", "a b", "../x", "-x", "ü", "a" * 101, "a/b", ".x"])
def test_a_name_that_is_no_reference_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(runs.BadName):
        make(tmp_path, name)


def test_a_name_is_given_once(tmp_path: Path) -> None:
    make(tmp_path, "alpha")
    with pytest.raises(runs.BadName, match="already"):
        make(tmp_path, "alpha")


def test_the_folder_of_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("L4COCKPIT_RUNS_DIR", raising=False)
    assert runs.runs_root(None) == tmp_path / "runs"
    monkeypatch.setenv("L4COCKPIT_RUNS_DIR", "elsewhere")
    assert runs.runs_root(None) == tmp_path / "elsewhere"
    assert runs.runs_root("here") == tmp_path / "here"
