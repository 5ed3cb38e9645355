"""Renaming and deleting runs. Above all: what must not be deleted stays."""

from __future__ import annotations

import asyncio
import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
from supervision import Stage, kill_supervisor, over, reaches, until

from cockpit import client, manage, processes, runs, state
from cockpit.runs import Run, SupervisorInfo
from trainer.contract import layout, messages, presets


def make(root: Path, name: str, end: bool = True) -> Run:
    """A run that is over, or that has made a step."""
    run = runs.create(root, "tiny", presets.resolve("tiny"), name)
    entries: list[messages.Message] = [
        messages.Supervisor(state="started", pid=1, host="x", seq=1, time=time.time()),
        messages.Phase(phase="training", step=3, seq=2, time=time.time()),
    ]
    if end:
        entries.append(messages.End(state="done", step=3, reason="all", seq=3, time=time.time()))
    run.journal.write_bytes(b"".join(map(messages.encode, entries)))
    (run.checkpoints / "step-00000003").mkdir(parents=True)
    (run.checkpoints / "step-00000003" / "weights").write_bytes(b"x" * 1000)
    return run


def looked_after(run: Run, pid: int, host: str | None = None, identity: str | None = None) -> None:
    info = SupervisorInfo(
        pid=pid, identity=identity or processes.identity(pid) or "", host=host or runs.this_host(),
        started=0.0, protocol=1, socket="", pipe="",
    )  # fmt: skip
    run.supervisor_file.write_bytes(msgspec.json.encode(info))


def refusal(root: Path, run: Run) -> str:
    with pytest.raises(manage.NotDeleted) as refused:
        manage.delete(root, run)
    return str(refused.value)


def all_of(folder: Path) -> set[str]:
    return {str(path) for path in folder.rglob("*")}


# --- renaming --------------------------------------------------------------------------


def test_a_run_is_renamed_and_its_folder_stays(tmp_path: Path) -> None:
    run = make(tmp_path, "alpha")
    renamed = manage.rename(run, "beta")
    assert (renamed.name, renamed.id, renamed.path) == ("beta", run.id, run.path)
    assert runs.find(tmp_path, "beta") == renamed == runs.find(tmp_path, run.id)
    with pytest.raises(runs.RunNotFound):
        runs.find(tmp_path, "alpha")
    assert make(tmp_path, "alpha").name == "alpha"  # the old name is free again
    assert renamed.config() == run.config()


def test_a_name_is_refused_that_others_have(tmp_path: Path) -> None:
    run, other = make(tmp_path, "alpha"), make(tmp_path, "beta")
    for name in ("beta", other.id, "", "a b", "../x", "a\nb"):
        with pytest.raises(runs.BadName):
            manage.rename(run, name)
    assert manage.rename(run, "alpha").name == "alpha"
    assert manage.rename(run, run.id).name == run.id
    with pytest.raises(runs.BadName):
        make(tmp_path, run.id)


@pytest.mark.parametrize("text", [b"", b"\xff\xfe", b"../../etc", b"two\nlines", b"\x1b[2J"])
def test_a_broken_name_is_passed_over(tmp_path: Path, text: bytes) -> None:
    run = make(tmp_path, "alpha")
    run.name_file.write_bytes(text)
    assert runs.load(run.path) == run


def test_a_live_run_can_be_renamed(stage: Stage) -> None:
    run = stage.start(steps=3000)
    reaches(run, 2)
    manage.rename(run, "other")
    assert runs.find(stage.root, "other").path == run.path
    step = state.current(run).step
    reaches(run, step + 3)


# --- deleting --------------------------------------------------------------------------


def test_a_run_is_deleted_with_all_that_is_in_it_and_no_more(tmp_path: Path) -> None:
    run, other = make(tmp_path / "runs", "alpha"), make(tmp_path / "runs", "beta")
    (tmp_path / "data").write_text("mine")
    before = all_of(tmp_path) - all_of(run.path) - {str(run.path)}
    manage.delete(run.path.parent, run)
    assert all_of(tmp_path) == before
    assert runs.all_runs(run.path.parent) == [other]


def test_links_go_and_what_they_lead_to_stays(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "weights").write_text("mine")
    run = make(tmp_path / "runs", "alpha")
    (run.path / "folder").symlink_to(outside)
    (run.checkpoints / "file").symlink_to(outside / "weights")
    (run.path / "up").symlink_to("..")
    other = make(tmp_path / "runs", "beta")
    assert manage.size(run) < 100_000
    manage.delete(tmp_path / "runs", run)
    assert not run.path.exists()
    assert (outside / "weights").read_text() == "mine"
    assert runs.all_runs(tmp_path / "runs") == [other]


def test_a_run_that_is_linked_into_the_list_stays(tmp_path: Path) -> None:
    elsewhere = make(tmp_path / "elsewhere", "alpha")
    root = tmp_path / "runs"
    root.mkdir()
    (root / "link").symlink_to(elsewhere.path)
    (linked,) = runs.all_runs(root)
    with pytest.raises(manage.NotDeleted, match="delete it there"):
        manage.delete(root, linked)
    with pytest.raises(manage.NotDeleted, match="delete it there"):
        manage.delete(root, elsewhere)
    assert elsewhere.journal.exists()


def test_a_folder_that_became_something_else_stays(tmp_path: Path) -> None:
    run = make(tmp_path, "alpha")
    run.run_file.unlink()
    with pytest.raises(manage.NotDeleted, match="no run any more"):
        manage.delete(tmp_path, run)
    assert run.journal.exists()


def test_a_run_without_an_end_stays(tmp_path: Path) -> None:
    """Its supervisor is this process: it is alive."""
    run = make(tmp_path, "alpha", end=False)
    looked_after(run, os.getpid())
    with pytest.raises(manage.NotDeleted, match="training; stop it first"):
        manage.delete(tmp_path, run)
    assert run.journal.exists() and list(tmp_path.iterdir()) == [run.path]


def test_a_run_that_is_just_being_made_stays(tmp_path: Path) -> None:
    run = runs.create(tmp_path, "tiny", presets.resolve("tiny"), "new")
    with pytest.raises(manage.NotDeleted, match="starting; stop it first"):
        manage.delete(tmp_path, run)
    assert run.run_file.exists()


def test_a_run_of_another_host_stays_unless_its_journal_knows_an_end(tmp_path: Path) -> None:
    run = make(tmp_path, "alpha", end=False)
    looked_after(run, 1, host="elsewhere", identity="x")
    with pytest.raises(manage.NotDeleted, match="training on host elsewhere"):
        manage.delete(tmp_path, run)
    done = make(tmp_path, "beta")
    looked_after(done, 1, host="elsewhere", identity="x")
    manage.delete(tmp_path, done)
    assert runs.all_runs(tmp_path) == [run]


def test_a_run_whose_supervisor_has_not_gone_yet_stays(tmp_path: Path) -> None:
    run = make(tmp_path, "alpha")
    sleeper = subprocess.Popen(["sleep", "60"])
    try:
        looked_after(run, sleeper.pid)
        with pytest.raises(manage.NotDeleted, match="supervisor"):
            manage.delete(tmp_path, run)
    finally:
        sleeper.kill()
        sleeper.wait()
    assert run.journal.exists()


def test_a_run_that_someone_is_starting_stays(tmp_path: Path) -> None:
    run = make(tmp_path, "alpha")
    with run.lock_file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(manage.NotDeleted, match="a supervisor looks after it"):
            manage.delete(tmp_path, run)
    assert run.journal.exists()
    manage.delete(tmp_path, run)
    assert not run.path.exists()


def test_a_run_of_which_a_process_is_left_stays(tmp_path: Path) -> None:
    run = make(tmp_path, "alpha")
    rank = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)"],
        env=os.environ | {layout.RUN_VARIABLE: str(run.path)},
    )
    try:
        until(lambda: processes.environment(rank.pid).get(layout.RUN_VARIABLE))
        with pytest.raises(manage.NotDeleted, match=f"processes of it are left: {rank.pid}"):
            manage.delete(tmp_path, run)
    finally:
        rank.kill()
        rank.wait()
    assert run.journal.exists()


def test_a_lost_run_can_be_deleted(tmp_path: Path) -> None:
    run = make(tmp_path, "alpha", end=False)
    looked_after(run, os.getpid(), identity="another boot")
    manage.delete(tmp_path, run)
    assert list(tmp_path.iterdir()) == []


def test_while_a_run_is_deleted_nobody_can_start_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make(tmp_path, "alpha")

    def meanwhile(_run: Run) -> str:
        with pytest.raises(runs.Taken):
            runs.claim(run)
        return "enough"

    monkeypatch.setattr(manage, "alive", meanwhile)
    with pytest.raises(manage.NotDeleted):
        manage.delete(tmp_path, run)
    os.close(runs.claim(run))  # afterwards one can again


def test_what_cannot_be_removed_is_told_and_is_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make(tmp_path, "alpha")

    def refuse(_path: Path) -> None:
        raise OSError(13, "Permission denied")

    monkeypatch.setattr(manage.shutil, "rmtree", refuse)
    with pytest.raises(OSError, match="Permission denied"):
        manage.delete(tmp_path, run)
    assert runs.all_runs(tmp_path) == []


def test_a_real_run_while_it_trains_and_when_it_is_over(stage: Stage) -> None:
    run = stage.start(steps=3000)
    reaches(run, 3)
    with pytest.raises(manage.NotDeleted, match="a supervisor looks after it"):
        manage.delete(stage.root, run)
    kill_supervisor(run)  # the trainer goes on
    assert "stop it first" in refusal(stage.root, run)
    asyncio.run(client.ensure_supervisor(run))
    step = state.current(run).step
    reaches(run, step + 3)
    kill_supervisor(run)
    stage.clean_up()
    until(lambda: state.current(run).state == "lost")
    manage.delete(stage.root, run)
    assert list(stage.root.iterdir()) == []


def test_a_run_that_is_done_can_be_deleted_at_once(stage: Stage) -> None:
    run = stage.start(steps=3)
    over(run)
    manage.delete(stage.root, run)
    assert list(stage.root.iterdir()) == []
