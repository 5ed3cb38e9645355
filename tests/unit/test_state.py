"""What a run does, read off its journal."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from cockpit import processes, runs, state
from cockpit.state import RunState, fold
from trainer.contract import messages, presets
from trainer.contract.messages import Ack, Checkpoint, Command, End, Failure, Launch, Phase, Step


def step(number: int, **more: float) -> Step:
    values = {"loss": 1.0, "lr": 0.1, "grad_norm": 1.0, "tokens": 100, "seconds": 0.5} | more
    return Step(step=number, split={}, **values)  # type: ignore[arg-type]


def hello(at: int = 0, steps: int = 10) -> messages.Hello:
    model = messages.Model(
        layers=1, moe_layers=[0], experts=2, experts_per_token=1, hidden=1, vocabulary=1,
        parameters=1, trainable=1,
    )  # fmt: skip
    return messages.Hello(
        protocol=1, world=1, ranks=[], model=model, step=at, steps=steps, tokens_per_step=100
    )


def launch(attempt: int = 1, left: int = 3) -> Launch:
    return Launch(attempt=attempt, pid=1, checkpoint=None, reason="", restarts_left=left)


def supervisor(what: str) -> messages.Supervisor:
    return messages.Supervisor(state=what, pid=1, host="h", text="")  # type: ignore[arg-type]


STORY = [
    (supervisor("started"), "starting"),
    (launch(), "starting"),
    (hello(), "loading"),
    (Phase(phase="compiling", step=0), "loading"),
    (Phase(phase="training", step=0), "training"),
    (Phase(phase="evaluating", step=3), "evaluating"),
    (Phase(phase="checkpointing", step=3), "checkpointing"),
    (Phase(phase="paused", step=3), "paused"),
    (Phase(phase="training", step=3), "training"),
    (Failure(kind="killed", rank=1, text="t", advice="a"), "training"),
    (supervisor("restarting"), "restarting"),
    (launch(2, 2), "restarting"),
    (hello(), "loading"),
    (step(1), "training"),
    (supervisor("took-over"), "training"),
    (Phase(phase="stopping", step=1), "stopping"),
    (Phase(phase="done", step=1), "stopping"),
    (End(state="stopped", step=1, reason="as asked"), "stopped"),
    (supervisor("ended"), "stopped"),
    (supervisor("started"), "starting"),
]


def test_the_state_follows_the_story() -> None:
    now = RunState()
    for entry, expected in STORY:
        now.apply(entry)
        assert now.state == expected, entry


def test_speed_and_time_left_are_of_the_recent_steps() -> None:
    slow = [step(n, seconds=9.0) for n in range(1, 6)]
    now = fold([hello(steps=100), *slow, *(step(n, seconds=0.5) for n in range(6, 27))])
    assert now.tokens_per_second == pytest.approx(200)
    assert now.seconds_per_step == pytest.approx(0.5)
    assert now.eta_seconds == pytest.approx(74 * 0.5)


def test_a_restart_goes_back_to_the_step_of_its_checkpoint() -> None:
    entries = [hello(), *(step(n) for n in range(1, 9)), supervisor("restarting"), launch(2, 2)]
    now = fold(entries)
    assert now.step == 8
    now.apply(Checkpoint(step=5, state="restored", path="p", seconds=0, bytes=1))
    assert now.step == 5
    now.apply(hello(at=5))
    now.apply(step(6))
    assert (now.step, now.attempt, now.restarts_left) == (6, 2, 2)


def test_orders_are_pending_until_they_are_done_or_refused() -> None:
    now = fold([Command(id="a", command="pause", by="x"), Command(id="b", command="stop", by="x")])
    assert now.pending["a"] == ("pause", "sent")
    now.apply(Ack(id="a", command="pause", state="accepted", step=1))
    assert now.pending["a"].state == "accepted"
    now.apply(Ack(id="a", command="pause", state="done", step=1))
    now.apply(Ack(id="b", command="stop", state="refused", step=1))
    assert now.pending == {}


def test_a_rejected_checkpoint_is_no_longer_the_newest_good_one() -> None:
    saved = Checkpoint(step=5, state="saved", path="p", seconds=0, bytes=1)
    now = fold([saved])
    assert now.last_checkpoint == (5, "p")
    now.apply(msgspec.structs.replace(saved, state="rejected"))
    assert now.last_checkpoint is None


def test_an_entry_counts_once() -> None:
    now, first = RunState(), step(1)
    first.seq = 4
    now.apply(first)
    other = step(9)
    other.seq = 3
    now.apply(other)
    assert now.step == 1


def test_the_keys_of_its_json_are_stable() -> None:
    now = fold([*(entry for entry, _ in STORY[:10]), step(4)])
    now.memory[0] = messages.Memory(
        step=1, rank=0, allocated=1, reserved=1, peak=1, host_pinned=0, offload_cpu=0,
        offload_nvme=0,
    )  # fmt: skip
    assert list(json.loads(msgspec.json.encode(now.as_json()))) == [
        "state", "detail", "step", "steps", "loss", "lr", "tokens_per_second", "seconds_per_step",
        "eta_seconds", "attempt", "restarts_left", "last_failure", "last_checkpoint", "alarms",
        "pending", "memory", "system", "started", "updated", "since", "seq",
    ]  # fmt: skip


def test_a_run_without_living_processes_is_lost(tmp_path: Path) -> None:
    run = runs.create(tmp_path, "tiny", presets.resolve("tiny"))
    assert state.current(run).state == "starting"  # so young that its supervisor may yet come
    run.journal.write_bytes(messages.encode(step(1)))
    me = processes.identity(1) or ""
    info = runs.SupervisorInfo(
        pid=1, identity=me, host=runs.this_host(), started=0, protocol=1, socket="", pipe=""
    )
    run.supervisor_file.write_bytes(msgspec.json.encode(info))
    assert state.current(run).state == "training"
    info.identity = "another process that had this pid before"
    run.supervisor_file.write_bytes(msgspec.json.encode(info))
    assert state.current(run).state == "lost"
    assert state.glance(run).state == "lost"
    info.host = "elsewhere"
    run.supervisor_file.write_bytes(msgspec.json.encode(info))
    assert state.current(run).state == "training"  # who knows


def test_a_steps_time_is_told_by_what_it_went_into_and_what_nobody_could_tell() -> None:
    now = fold([launch()])
    assert now.step_split == {}
    for number, forward in ((1, 0.1), (2, 0.2)):
        entry = step(number)
        entry.split = {"forward": forward, "offload": 0.25}
        now.apply(entry)
    assert now.step_split == pytest.approx({"forward": 0.15, "offload": 0.25, "rest": 0.1})
    now.apply(launch(attempt=2))
    assert now.step_split == {}
