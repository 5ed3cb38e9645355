"""What the end-to-end tests do: type commands, read journals, kill processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

SMALL = (
    "model.tiny.hidden=64",
    "model.tiny.intermediate=64",
    "model.tiny.vocabulary=1024",
    "model.tiny.chunk=32",
    "data.seq_len=64",
)
"""Settings that make tiny tinier: its start is what takes time, its steps need not."""

PATIENCE = 900.0
"""Seconds for anything to come: the first start with states on disk compiles for minutes."""

Entry = dict[str, Any]


class Desk:
    """The command line over one runs folder."""

    def __init__(self, runs: Path) -> None:
        self.runs = runs
        self.environment = os.environ | {"L4COCKPIT_RUNS_DIR": str(runs)}

    def type(
        self, *words: str, status: int | None = 0, timeout: float = 180
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, without a terminal."""
        done = subprocess.run(
            [sys.executable, "-m", "cockpit", *words],
            check=False,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        told = f"{words}: status {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert status is None or done.returncode == status, told
        return done

    def start(self, preset: str, *settings: str) -> Run:
        """Start a detached run."""
        words = [word for setting in settings for word in ("--set", setting)]
        return Run(self, self.type("run", preset, *words, "--detach").stdout.split()[0])

    def train(self, preset: str, *settings: str) -> Run:
        """A run from its start to its end."""
        run = self.start(preset, *settings)
        run.until_ended("done")
        return run

    def processes(self) -> list[psutil.Process]:
        """Everything that belongs to a run of this desk."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.status() == psutil.STATUS_ZOMBIE:
                    continue
                words = " ".join(process.cmdline())
                marked = process.environ().get("L4COCKPIT_RUN", "")
            except psutil.Error:
                continue
            ours = str(self.runs) in words or marked.startswith(str(self.runs))
            if ours and process.pid != os.getpid():
                found.append(process)
        return found

    def end_everything(self) -> list[str]:
        """Kill what still runs although no run is active; what that was."""
        deadline = time.monotonic() + 15
        while (left := self.processes()) and time.monotonic() < deadline:
            if self.active():
                break
            time.sleep(0.1)
        told = [] if self.active() else [f"{p.pid} {p.cmdline()[:6]}" for p in left]
        for process in self.processes():
            process.kill()
        psutil.wait_procs(self.processes(), timeout=10)
        return told

    def active(self) -> bool:
        """Whether a run was left in the middle, so that its processes are no leak."""
        return any(
            (entries := Run(self, path.name).journal()) and entries[-1]["type"] != "supervisor"
            for path in (self.runs.iterdir() if self.runs.exists() else ())
        )


class Run:
    """One run, seen through its files and the command line."""

    def __init__(self, desk: Desk, name: str) -> None:
        self.desk, self.name = desk, name
        self.path = desk.runs / name

    def type(self, command: str, *words: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """A command on this run."""
        return self.desk.type(command, self.name, *words, **options)

    def journal(self, kind: str | None = None) -> list[Entry]:
        """The journal's entries, or those of one type."""
        try:
            lines = (self.path / "journal.jsonl").read_bytes().splitlines(keepends=True)
        except OSError:
            return []
        entries = [json.loads(line) for line in lines if line.endswith(b"\n")]
        return [entry for entry in entries if kind in (None, entry["type"])]

    def losses(self) -> dict[int, float]:
        """Loss by step; where steps were repeated, the last."""
        return {entry["step"]: entry["loss"] for entry in self.journal("step")}

    def steps(self) -> list[int]:
        """Step numbers in the order of the journal."""
        return [entry["step"] for entry in self.journal("step")]

    def until(
        self, found: Callable[[list[Entry]], Any], what: str = "", timeout: float = PATIENCE
    ) -> Any:
        """Wait until something holds of the journal; what was found."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if result := found(self.journal()):
                return result
            time.sleep(0.02)
        tail = "\n".join(json.dumps(entry)[:300] for entry in self.journal()[-15:])
        raise AssertionError(f"{what or found} did not come in {timeout} s\n{tail}\n{self.log()}")

    def until_step(self, step: int) -> None:
        """Wait for a step."""
        self.until(lambda _: max(self.steps(), default=0) >= step, f"step {step}")

    def until_entry(self, entry_type: str, count: int = 1, **fields: Any) -> Entry:
        """Wait for the count-th entry of a type with these fields."""

        def found(entries: list[Entry]) -> Entry | None:
            fitting = [
                e for e in entries if e["type"] == entry_type and fields.items() <= e.items()
            ]
            return fitting[count - 1] if len(fitting) >= count else None

        entry: Entry = self.until(found, f"{entry_type} {fields}")
        return entry

    def until_ended(self, state: str, count: int = 1) -> Entry:
        """Wait until the run is over for the count-th time, and its supervisor gone."""

        def over(entries: list[Entry]) -> Entry | None:
            ends = [entry for entry in entries if entry["type"] == "end"]
            return ends[count - 1] if len(ends) >= count else None

        end: Entry = self.until(over, "end")
        assert end["state"] == state, f"{end}\n{self.journal('failure')}\n{self.log()}"
        self.until(lambda _: not self.supervisors(), "end of the supervisor", 20)
        return end

    def log(self) -> str:
        """The end of the trainer's log."""
        try:
            return (self.path / "trainer.log").read_text(errors="replace")[-3000:]
        except OSError:
            return ""

    def processes(self, word: str) -> list[psutil.Process]:
        """The run's processes whose command line holds a word."""
        found = []
        for process in self.desk.processes():
            try:
                words = process.cmdline()
            except psutil.Error:
                continue
            if str(self.path) in " ".join(words) and word in words:
                found.append(process)
        return found

    def supervisors(self) -> list[psutil.Process]:
        """The run's supervisor, if it lives."""
        return self.processes("cockpit.supervisor")

    def torchrun(self) -> psutil.Process:
        """The launcher."""
        return self.processes("torch.distributed.run")[0]

    def rank(self, rank: int) -> psutil.Process:
        """A rank of the trainer."""
        for process in self.desk.processes():
            try:
                place = process.environ()
            except psutil.Error:
                continue
            if place.get("L4COCKPIT_RUN") == str(self.path) and place.get("RANK") == str(rank):
                return process
        raise AssertionError(f"there is no rank {rank}")

    def kill_everything(self) -> None:
        """SIGKILL the supervisor, torchrun and all ranks at once."""
        processes = self.desk.processes()
        for process in processes:
            process.send_signal(signal.SIGSTOP)
        for process in processes:
            process.kill()
        psutil.wait_procs(processes, timeout=10)


def assert_each_once(steps: list[int], last: int) -> None:
    """All steps up to the last are in the journal, in order, each once."""
    assert steps == list(range(1, last + 1))
