"""The command line: what scripts rely on."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from supervision import (
    Stage,
    assert_clean,
    kill_supervisor,
    now,
    of_type,
    over,
    reaches,
    steps,
    until,
)  # fmt: skip

from cockpit import runs
from cockpit.cli import main
from cockpit.runs import Run
from trainer.contract import messages

CLI = [sys.executable, "-m", "cockpit"]


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


Cli = Callable[..., Done]


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str]) -> Cli:
    """The command line, without the cost of another interpreter."""

    def call(*arguments: str) -> Done:
        capfd.readouterr()
        try:
            code = main(arguments)
        except SystemExit as leaving:
            code = int(leaving.code or 0)
        return Done(code, *capfd.readouterr())

    return call


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*CLI, *arguments], capture_output=True, text=True, timeout=60, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


def popen(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*CLI, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def only_run(stage: Stage) -> Run:
    return until(lambda: runs.all_runs(stage.root))[0]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """A run of four steps that is over."""
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as sockets:
        stage = Stage(tmp_path_factory.mktemp("template"), Path(sockets), patch.setenv)
        run = stage.start(steps=4)
        over(run)
        yield run


@pytest.fixture
def finished(stage: Stage, template: Run) -> Run:
    """A copy of that run."""
    shutil.copytree(template.path, stage.root / template.id)
    return runs.find(stage.root, None)


# --- bad input -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ("runn tiny", 2, "no command runn; did you mean run?"),
        ("run", 2, "required: PRESET"),
        ("run tinny", 2, "no preset tinny; did you mean tiny?"),
        ("run tiny --set train.step=4", 2, "unknown key train.step; did you mean train.steps?"),
        ("run tiny --set train.steps=many", 2, "train.steps"),
        ("run tiny --set train.steps", 2, "--set wants KEY=VALUE"),
        ("run tiny --set train.steps=-1", 2, "train.steps must be positive"),
        ("run tiny --name a/b", 2, "cannot be called 'a/b'"),
        ("run ./none.yaml", 2, "cannot read preset ./none.yaml"),
        ("run tiny --detach --headless", 2, "not allowed with"),
        ("run tiny --runs-dir /dev/null/x", 1, "/dev/null/x"),
        ("status nothing", 3, "no runs in"),
        ("stop nothing --wait", 3, "no runs in"),
        ("pause", 2, "required: RUN"),
        ("ps --jsn", 2, "--jsn"),
        ("attach", 3, "no runs in"),
        ("", 2, "no terminal"),
    ],
)
def test_bad_input_is_one_line_and_an_exit_code(
    cli: Cli, stage: Stage, arguments: str, code: int, said: str
) -> None:
    done = cli(*arguments.split())
    assert done.returncode == code
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("l4cockpit: ")
    assert said in done.stderr
    assert runs.all_runs(stage.root) == []


def test_help_is_quick_and_has_examples() -> None:
    started = time.monotonic()
    done = command("--help")
    assert time.monotonic() - started < 2
    assert "examples:" in done.stdout
    for name in ("run", "attach", "ps", "stop"):
        assert "examples:" in command(name, "--help").stdout
    assert command("--version").stdout.startswith("l4cockpit ")


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom cockpit.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "print([m for m in ('numpy', 'textual', 'torch', 'asyncio') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


# --- looking ---------------------------------------------------------------------------


def test_ps_json_is_one_array(cli: Cli, stage: Stage, finished: Run) -> None:
    rows = json.loads(cli("ps", "--json").stdout)
    assert [list(row) for row in rows] == [
        ["id", "name", "preset", "path", "created", "host", "state", "detail", "step", "steps",
         "loss", "updated"]
    ]  # fmt: skip
    assert (rows[0]["id"], rows[0]["state"], rows[0]["step"]) == (finished.id, "done", 4)
    assert json.loads(cli("ps", "--json", "--runs-dir", str(stage.root / "none")).stdout) == []
    table = cli("ps").stdout.splitlines()
    assert table[0].split() == ["NAME", "STATE", "STEP", "LOSS", "PRESET", "STARTED", "HOST"]
    assert len(table) == 2


def test_status_json_is_one_object(cli: Cli, finished: Run) -> None:
    value = json.loads(cli("status", "--json").stdout)
    assert list(value)[:8] == [
        "id", "name", "preset", "path", "created", "host", "supervisor", "state",
    ]  # fmt: skip
    assert value["supervisor"]["alive"] is False
    assert (value["state"], value["step"], value["steps"], value["attempt"]) == ("done", 4, 4, 1)
    text = cli("status", finished.name).stdout
    assert f"{finished.name}: done" in text and "step 4/4" in text


def test_events_json_is_the_journal(cli: Cli, finished: Run) -> None:
    assert cli("events", "--json").stdout == finished.journal.read_text()
    with finished.journal.open("ab") as file:
        file.write(b'garbage\n{"seq":999,"type":"st')
    lines = cli("events", "--json", finished.id).stdout.splitlines()
    assert [json.loads(line)["seq"] for line in lines] == list(range(1, len(lines) + 1))
    assert "DONE after step 4: all 4 steps" in cli("events").stdout


def test_events_follow_ends_with_the_run(cli: Cli, stage: Stage) -> None:
    run = stage.start(steps=40)
    done = cli("events", "--json", "--follow")
    assert json.loads(done.stdout.splitlines()[-1])["type"] in ("end", "supervisor")
    assert len([li for li in done.stdout.splitlines() if '"type":"step"' in li]) == 40
    assert over(run).state == "done"


def test_logs_are_what_was_printed(cli: Cli, finished: Run) -> None:
    with finished.log.open("a") as file:
        file.write("[rank 0] hello\n")
    assert "[rank 0] hello\n" in cli("logs").stdout
    lines = [json.loads(line) for line in cli("logs", "--json").stdout.splitlines()]
    assert {"text": "[rank 0] hello"} in lines


def test_presets_json_is_one_array(cli: Cli) -> None:
    rows = json.loads(cli("presets", "--json").stdout)
    assert {"tiny", "tiny-lora", "tiny-nvme"} <= {row["name"] for row in rows}
    assert all(set(row) == {"name", "description"} for row in rows)


def test_a_reader_that_has_enough_is_no_error(finished: Run) -> None:
    command = f"{' '.join(CLI)} events --json | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 1


def test_attach_without_a_terminal_says_what_to_use(cli: Cli, finished: Run) -> None:
    done = cli("attach")
    assert done.returncode == 2
    assert "l4cockpit events --follow" in done.stderr


# --- running ---------------------------------------------------------------------------


def test_run_without_a_terminal_prints_progress(stage: Stage) -> None:
    stage.plan(steps=100)
    done = command("run", "tiny", "--name", "mine")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("run mine in ")
    progress = [line for line in lines if line.startswith("step ")]
    assert progress[-1].startswith("step 100/100  loss 0.0500  ")
    assert "tokens/s" in progress[-1]
    assert lines[-1] == "DONE after step 100: all 100 steps"
    assert_clean(stage, only_run(stage))


def test_a_run_that_fails_exits_with_1_and_says_why(cli: Cli, stage: Stage) -> None:
    stage.plan(steps=20, crash_at=3, crash_attempts=9)
    done = cli("run", "tiny", "--headless", "--set", "restart.max=0")
    assert done.returncode == 1
    assert "FAILURE (exception): ValueError: no — mend" in done.stdout
    assert "restart.max is 0" in done.stdout.splitlines()[-1]


def test_detach_prints_the_id_and_returns(stage: Stage) -> None:
    stage.plan(steps=10)
    done = command("run", "tiny", "--detach")
    assert (done.returncode, done.stderr) == (0, "")
    run = only_run(stage)
    assert done.stdout == run.id + "\n"
    assert over(run).state == "done"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_checkpoints_and_stops(stage: Stage, number: int) -> None:
    stage.plan(steps=3000)
    process = popen("run", "tiny", "--headless")
    run = only_run(stage)
    reaches(run, 3)
    process.send_signal(number)
    output, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "STOPPED" in output and "checkpoint and stop" in errors
    assert over(run).state == "stopped"
    assert_clean(stage, run)


def test_a_second_interrupt_does_not_wait(stage: Stage) -> None:
    stage.plan(steps=3000, ignore_stop=True)
    process = popen("run", "tiny", "--headless")
    run = only_run(stage)
    reaches(run, 3)
    process.send_signal(signal.SIGINT)
    until(lambda: now(run).pending)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=5)
    assert process.returncode == 130
    assert "left to stop by itself" in errors


def test_a_hangup_leaves_the_run_going(stage: Stage) -> None:
    stage.plan(steps=60)
    process = popen("run", "tiny", "--headless")
    run = only_run(stage)
    reaches(run, 3)
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=5)
    assert over(run).state == "done"
    assert of_type(run, messages.Command) == []


def test_a_headless_run_outlives_its_supervisor(stage: Stage) -> None:
    stage.plan(steps=150)
    process = popen("run", "tiny", "--headless")
    run = only_run(stage)
    reaches(run, 10)
    kill_supervisor(run)
    output, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    assert "took-over" in output
    assert steps(run) == list(range(1, 151))


# --- orders ----------------------------------------------------------------------------


def test_orders_from_pause_to_stop_and_resume(cli: Cli, stage: Stage) -> None:
    run = stage.start(steps=3000)
    reaches(run, 2)
    assert cli("pause", run.name, "--wait").returncode == 0
    assert now(run).state == "paused"
    assert cli("resume", run.name, "--wait").returncode == 0
    assert now(run).state == "training"
    refused = cli("resume", run.name, "--wait")
    assert refused.returncode == 1 and "not paused, it is training" in refused.stderr
    saved = cli("checkpoint", run.name, "--wait")
    assert saved.returncode == 0 and saved.stdout == ""
    assert cli("stop", run.name, "--wait").returncode == 0
    assert now(run).state == "stopped"
    again = cli("stop", run.name)
    assert again.returncode == 1 and "is stopped" in again.stderr
    assert cli("resume", run.name, "--wait").returncode == 0
    assert now(run).attempt == 2
    stopped = cli("stop", "--no-checkpoint", run.name, "--wait")
    assert stopped.returncode == 0
    assert of_type(run, messages.Command)[-1].arguments == {"checkpoint": False}
    assert_clean(stage, run)


def test_a_done_run_cannot_be_resumed(cli: Cli, finished: Run) -> None:
    done = cli("resume", finished.name)
    assert done.returncode == 1
    assert done.stderr == (
        f"l4cockpit: {finished.name} is done (all 4 steps); there is nothing to resume\n"
    )


def test_any_command_revives_a_run_whose_supervisor_died(cli: Cli, stage: Stage) -> None:
    run = stage.start(steps=3000)
    for command in (["status"], ["events"], ["checkpoint", run.name, "--wait"]):
        reaches(run, 2)
        kill_supervisor(run)
        assert cli(*command).returncode == 0
        assert runs.supervisor_alive(runs.supervisor_info(run))


def test_resume_restarts_a_lost_run(cli: Cli, stage: Stage) -> None:
    run = stage.start(steps=60)
    reaches(run, 7)
    info = runs.supervisor_info(run)
    assert info is not None and info.trainer is not None
    kill_supervisor(run)
    stage.clean_up()
    until(lambda: json.loads(cli("ps", "--json").stdout)[0]["state"] == "lost")
    assert cli("resume", run.name, "--wait").returncode == 0
    assert over(run).state == "done"


def test_a_run_on_another_host_can_be_seen_but_not_touched(cli: Cli, stage: Stage) -> None:
    run = stage.start(steps=3000)
    reaches(run, 2)
    stage.clean_up()
    text = run.supervisor_file.read_text().replace(f'"{runs.this_host()}"', '"elsewhere"')
    run.supervisor_file.write_text(text)
    assert "lives on host elsewhere" in cli("status").stdout
    done = cli("pause", run.name)
    assert done.returncode == 1
    assert "lives on host elsewhere; run this command there" in done.stderr


def test_a_terminal_gets_the_screen(stage: Stage, finished: Run, tmp_path: Path) -> None:
    """Only that it is opened: the screens have tests of their own."""
    code = (
        "import sys, types\napp = types.ModuleType('cockpit.app')\n"
        "def run_app(*a): print('SCREEN', a[1] and a[1].name, a[2]); return 0\n"
        "app.run_app = run_app\nsys.modules['cockpit.app'] = app\n"
        "from cockpit.cli import main\nsys.exit(main(sys.argv[1:]))"
    )
    for arguments, expected in (
        (["attach", "--readonly"], f"SCREEN {finished.name} True"),
        ([], "SCREEN None False"),
    ):
        master, slave = pty.openpty()
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], stdin=slave, stdout=slave, timeout=20,
            check=False,
        )  # fmt: skip
        os.close(slave)
        assert done.returncode == 0
        assert expected in os.read(master, 1000).decode()
        os.close(master)
