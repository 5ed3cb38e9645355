"""Alarms fire with nobody watching, and once, whoever supervises."""

from __future__ import annotations

import asyncio

from supervision import Stage, kill_supervisor, now, of_type, over, reaches, until

from cockpit import client
from cockpit.client import Client
from cockpit.runs import Run
from trainer.contract import messages
from trainer.contract.messages import Alarm


def told(run: Run) -> list[tuple[str, str, int]]:
    return [(alarm.state, alarm.rule, alarm.step) for alarm in of_type(run, Alarm)]


def test_a_loss_that_is_not_finite_is_journalled_behind_its_step_and_cleared(stage: Stage) -> None:
    run = stage.start(steps=60, nan_from=5, nan_to=8)
    assert over(run).state == "done"
    assert told(run) == [("raised", "loss-not-finite", 5), ("cleared", "loss-not-finite", 18)]
    entries = of_type(run, messages.Message)
    at = next(n for n, entry in enumerate(entries) if isinstance(entry, Alarm))
    assert any(isinstance(entry, messages.Step) and entry.step == 5 for entry in entries[:at])
    assert now(run).alarms.raised == {}


def test_who_takes_over_does_not_raise_it_again(stage: Stage) -> None:
    run = stage.start(steps=300, nan_from=5, nan_to=200)
    until(lambda: told(run))
    kill_supervisor(run)
    asyncio.run(client.ensure_supervisor(run))
    assert over(run).state == "done"
    assert told(run) == [("raised", "loss-not-finite", 5), ("cleared", "loss-not-finite", 210)]


def test_the_end_ends_them_and_a_resume_raises_them_anew(stage: Stage) -> None:
    run = stage.start(steps=10, nan_from=5, nan_to=10)
    final = over(run)
    assert [alarm.rule for alarm in final.alarms.raised.values()] == ["loss-not-finite"]
    assert len(told(run)) == 1, "the end says it all"
    stage.plan(steps=20, nan_from=15, nan_to=20)
    asyncio.run(client.start_supervisor(run))
    over(run)
    assert [state for state, _, _ in told(run)] == ["raised", "raised"]


def test_an_alarm_is_acknowledged_once_by_the_first_who_has_seen_it(stage: Stage) -> None:
    run = stage.start(steps=3000, nan_from=2, nan_to=3000)
    until(lambda: told(run))
    (alarm,) = now(run).alarms.raised.values()

    async def acknowledge(name: str, seen: Alarm) -> None:
        connection = await Client.connect(run, None, name)
        await connection.acknowledge(seen)
        await connection.close()

    other = Alarm(state="raised", rule="no-such", layer=None, expert=None, value=None, step=1)
    for name, seen in (("a", other), ("b", alarm), ("c", alarm)):
        asyncio.run(acknowledge(name, seen))
    until(lambda: of_type(run, messages.Acknowledged))
    reaches(run, now(run).step + 5)
    assert [entry.by for entry in of_type(run, messages.Acknowledged)] == ["b"]
    assert now(run).as_json()["alarms"][0]["acknowledged_by"] == "b"
