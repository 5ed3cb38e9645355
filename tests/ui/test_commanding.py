"""Alarms, the controls and the live knobs, as a user meets them."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from fake_supervisor import FakeSupervisor
from test_flows import open_run, supervisor, text_of, until

from cockpit.app import Cockpit
from cockpit.screens.commanding import Commanding
from trainer.contract import messages as m

assert supervisor  # the fixture


def alarm(severity: str = "critical", state: str = "raised", expert: int = 5) -> m.Alarm:
    return m.Alarm(
        state=state, rule="expert-overload", layer=2, expert=expert, value=7.1, step=40,
        severity=severity, since=time.time() - 65,
        text=f"layer 2 expert {expert} is above 6× the even share, at 7.1×",
    )  # type: ignore[arg-type]  # fmt: skip


@pytest.fixture
def rung(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    heard: list[str] = []

    def hear(app: Cockpit, ring: Commanding.Ring) -> None:
        if not app.muted:
            heard.append(f"{ring.title}: {ring.text}")

    monkeypatch.setattr(Cockpit, "on_commanding_ring", hear)
    return heard


def live(app: Cockpit) -> bool:
    return app.dashboard is not None and app.dashboard.was_live


async def test_an_alarm_rings_is_on_the_header_and_is_acknowledged(
    supervisor: FakeSupervisor, rung: list[str]
) -> None:
    app = open_run(supervisor.run)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: live(app))
        supervisor.tell(alarm("warning", expert=3), alarm())
        await until(pilot, lambda: "!! critical: layer 2 expert 5" in text_of(app, "header"))
        assert rung == [f"l4cockpit live: critical: {alarm().text} (and 1 more)"]
        assert "✗ critical: layer 2 expert 5" in text_of(app, "events")
        await pilot.press("a")
        await until(pilot, lambda: "2 raised" in text_of(app, "alarms"))
        assert "› !! critical" in text_of(app, "alarms")
        assert "1 m 0" in text_of(app, "alarms"), "since when"
        await pilot.press("enter")
        await until(pilot, lambda: "✓ cockpit on" in text_of(app, "alarms"))
        await pilot.press("a")
        await until(pilot, lambda: text_of(app, "alarms").count("✓ cockpit on") == 2)
        await pilot.press("escape")
        await until(pilot, lambda: "+1 (seen)" in text_of(app, "header"))
        supervisor.tell(alarm(state="cleared"), alarm("warning", "cleared", expert=3))
        await until(pilot, lambda: "critical" not in text_of(app, "header"))
        assert "over: layer 2 expert 5" in text_of(app, "events")


async def test_the_bell_can_be_muted(supervisor: FakeSupervisor, rung: list[str]) -> None:
    app = open_run(supervisor.run)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: live(app))
        await pilot.press("a", "m")
        await until(pilot, lambda: "bell off" in text_of(app, "alarms"))
        assert "none: all is as it should be" in text_of(app, "alarms")
        await pilot.press("q")
        supervisor.tell(alarm())
        await until(pilot, lambda: "!! critical" in text_of(app, "header"))
        assert rung == []


async def test_who_watches_gives_no_orders_and_can_ask_for_the_controls(
    supervisor: FakeSupervisor,
) -> None:
    app = open_run(supervisor.run)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: live(app) and bool(supervisor.control_requests))
        assert supervisor.control_requests[0].action == "want"
        supervisor.tell_controls(m.Controls(holder="the desk", yours=False))
        await until(pilot, lambda: "watching" in text_of(app, "header"))
        for key in "pcsv":
            await pilot.press(key)
            assert "watching: the desk has the controls" in text_of(app, "footer")
        assert supervisor.orders == []
        await pilot.press("w")
        await until(pilot, lambda: supervisor.control_requests[-1].action == "ask")
        assert "asked the desk for the controls" in text_of(app, "footer")
        supervisor.tell_controls(
            m.Controls(holder="the desk", yours=False, text="the desk keeps the controls")
        )
        await until(pilot, lambda: "the desk keeps the controls" in text_of(app, "footer"))
        supervisor.tell_controls(m.Controls(holder="here", yours=True))
        await until(pilot, lambda: "the controls are yours" in text_of(app, "footer"))
        await until(pilot, lambda: "watching" not in text_of(app, "header"))
        await pilot.press("p")
        await until(pilot, lambda: bool(supervisor.orders))


async def test_who_is_asked_for_the_controls_gives_or_keeps_them(
    supervisor: FakeSupervisor,
) -> None:
    app = open_run(supervisor.run)
    wanted = "the train asks for the controls: w gives, W keeps; in 15 s they pass"
    asked = m.Controls(holder="here", yours=True, asking=["the train"], passes_in=15.0)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: live(app))
        for key, action in (("W", "keep"), ("w", "give")):
            supervisor.tell_controls(asked)
            await until(pilot, lambda: wanted in text_of(app, "footer"))
            await pilot.press(key)
            await until(pilot, lambda a=action: supervisor.control_requests[-1].action == a)


async def test_readonly_asks_for_nothing(supervisor: FakeSupervisor) -> None:
    app = open_run(supervisor.run, readonly=True)
    supervisor.tell(alarm())
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: live(app))
        for keys in (["w"], ["v"], ["a", "enter", "escape"]):
            await pilot.press(*keys)
            await until(pilot, lambda: "read only" in text_of(app, "footer"))
        assert supervisor.control_requests == []
        assert "acknowledged" not in text_of(app, "events")


async def test_a_knob_is_turned_after_a_question(supervisor: FakeSupervisor) -> None:
    app = open_run(supervisor.run)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: live(app))
        await pilot.press("v")
        await until(pilot, lambda: "Live knobs" in text_of(app, "knobs"))
        await pilot.press("5", "0", "0", "enter")
        assert "! lr_scale must be a number from 0 to 100" in text_of(app, "knobs")
        await pilot.press(*["backspace"] * 3, "0", "full_stop", "5")
        assert "learning rate now" in text_of(app, "knobs")
        assert supervisor.orders == []
        await pilot.press("enter")
        assert "Set the learning-rate scale from 1 to 0.5?" in text_of(app, "knobs")
        await pilot.press("escape")
        assert "Set the learning-rate" not in text_of(app, "knobs"), "back to the form"
        await pilot.press("enter", "enter")
        await until(pilot, lambda: bool(supervisor.orders))
        order = supervisor.orders[0]
        assert isinstance(order, m.Set)
        assert (order.key, order.value) == ("lr_scale", 0.5)
        supervisor.one_step()
        await until(pilot, lambda: "set from step 41 on" in text_of(app, "footer"))
        assert "set lr_scale = 0.5 asked for by cockpit on" in text_of(app, "events")
        await pilot.press("v")
        await until(pilot, lambda: "0.5 " in text_of(app, "knobs"))
        await pilot.press("escape")
        await until(pilot, lambda: "loss ─" in text_of(app))


@pytest.mark.parametrize("size", [(80, 24), (40, 10), (20, 5)])
async def test_the_dialogs_fit_small_terminals(
    supervisor: FakeSupervisor, size: tuple[int, int]
) -> None:
    app = open_run(supervisor.run)
    supervisor.tell(*(alarm(expert=expert) for expert in range(16)))
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: live(app))
        assert "!!" in text_of(app, "header")
        for key in "av":
            await pilot.press(key)
            await pilot.pause(0.1)
            await pilot.press("down", "escape")
