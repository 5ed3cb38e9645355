"""Orders given in any order, at any time, are all followed, in the order in which they came."""

from __future__ import annotations

from tests.e2e.desk import SMALL, Desk, Run


def answers(run: Run) -> list[tuple[str, str, int]]:
    """What became of each order, in order."""
    acks = (entry for entry in run.journal("ack") if entry["state"] != "accepted")
    return [(ack["command"], ack["state"], ack["step"]) for ack in acks]


def test_orders_given_while_loading_are_followed_before_the_first_step(desk: Desk) -> None:
    run = desk.start("tiny", *SMALL, "train.steps=2000", "checkpoint.every=0")
    orders = ["pause", "checkpoint", "resume", "pause"]
    for order in orders:  # one decision holds them all
        run.type(order)
    assert not run.journal("hello"), "the run had loaded before all was ordered"
    run.until(lambda _: len(answers(run)) == 4, "four answers")
    assert answers(run) == [
        (order, "done", 0) for order in ("pause", "checkpoint", "resume", "pause")
    ]
    assert run.steps() == []

    run.type("resume", "--wait")
    run.until_step(3)
    run.type("pause", "--wait")
    run.type("checkpoint", "--wait")
    run.type("stop", "--wait")
    end = run.until_ended("stopped")
    assert (run.path / "checkpoints" / "latest").resolve().name == f"step-{end['step']:08d}"


def test_a_stop_right_behind_a_pause_saves_and_stops(desk: Desk) -> None:
    run = desk.start("tiny", *SMALL, "train.steps=2000", "checkpoint.every=0")
    run.until_step(3)
    run.type("pause")
    run.type("stop", "--wait")
    end = run.until_ended("stopped")
    assert (run.path / "checkpoints" / "latest").resolve().name == f"step-{end['step']:08d}"


def test_a_signal_to_the_supervisor_saves_and_stops(desk: Desk) -> None:
    run = desk.start("tiny", *SMALL, "train.steps=2000", "checkpoint.every=0")
    run.until_step(3)
    run.supervisors()[0].terminate()
    end = run.until_ended("stopped")
    assert (run.path / "checkpoints" / "latest").resolve().name == f"step-{end['step']:08d}"
