"""One cockpit controls, the others watch; scripts are followed; versions may differ."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from supervision import Stage, of_type, order, reaches, until

from cockpit import runs
from cockpit.client import Client
from cockpit.runs import Run
from cockpit.supervisor import controls
from trainer.contract import messages
from trainer.contract.messages import Ack, Controls, Pause, Resume


class Cockpit:
    """A client that keeps what it hears."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.heard: list[Controls] = []
        self.entries: list[messages.Entry] = []
        client.on_controls = self.heard.append
        self.reading = asyncio.create_task(self.read())

    async def read(self) -> None:
        async for entries in self.client.batches():
            self.entries += entries

    async def hears(self, **wanted: Any) -> Controls:
        def fits() -> bool:
            return bool(self.heard) and all(
                getattr(self.heard[-1], key) == value for key, value in wanted.items()
            )

        async with asyncio.timeout(10):
            while not fits():  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        return self.heard[-1]

    async def answer(self, identifier: str, state: str) -> Ack:
        def found() -> list[Ack]:
            acks = [entry for entry in self.entries if isinstance(entry, Ack)]
            return [ack for ack in acks if ack.id == identifier and ack.state == state]

        async with asyncio.timeout(10):
            while not found():  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        return found()[0]


@asynccontextmanager
async def cockpit(run: Run, name: str, action: Any = "want") -> AsyncIterator[Cockpit]:
    client = await Client.connect(run, None, name)
    here = Cockpit(client)
    await client.control(action)
    yield here
    here.reading.cancel()
    await client.close()


def running(stage: Stage) -> Run:
    run = stage.start(steps=3000)
    reaches(run, 1)
    return run


def test_the_second_watches_and_its_orders_are_refused_to_itself(stage: Stage) -> None:
    run = running(stage)

    async def both() -> None:
        async with cockpit(run, "first") as first, cockpit(run, "second") as second:
            await first.hears(yours=True, holder="first")
            await second.hears(yours=False, holder="first")
            await second.client.send(Pause(id="no"))
            ack = await second.answer("no", "refused")
            assert ack.reason == "first has the controls"
            await first.client.send(Pause(id="yes"))
            await second.answer("yes", "done")

    asyncio.run(both())
    assert [entry.id for entry in of_type(run, messages.Command)] == ["yes"]
    assert [ack.id for ack in of_type(run, Ack) if ack.state == "refused"] == []


def test_who_vanishes_frees_them_at_once(stage: Stage) -> None:
    run = running(stage)

    async def both() -> None:
        async with cockpit(run, "second", "watch") as second:
            async with cockpit(run, "first"):
                await second.hears(holder="first")
            await second.hears(holder="", yours=False)
            await second.client.send(Pause(id="p"))
            await second.hears(holder="second", yours=True)
            await second.answer("p", "done")

    asyncio.run(both())


def test_they_are_asked_for_kept_and_given(stage: Stage) -> None:
    run = running(stage)

    async def both() -> None:
        async with cockpit(run, "first") as first, cockpit(run, "second") as second:
            await second.client.control("ask")
            asked = await first.hears(asking=["second"], yours=True)
            assert 0 < (asked.passes_in or 0) <= controls.PATIENCE
            await first.client.control("keep")
            await second.hears(asking=[], text="first keeps the controls", yours=False)
            await second.client.control("ask")
            await first.hears(asking=["second"])
            await first.client.control("give")
            await second.hears(yours=True)
            await first.hears(yours=False, holder="second")

    asyncio.run(both())


def test_a_script_is_followed_whoever_watches(stage: Stage) -> None:
    run = running(stage)

    async def hold() -> None:
        async with cockpit(run, "first") as first:
            await first.hears(yours=True)
            await asyncio.to_thread(order, run, Pause(id="script"))
            await first.answer("script", "done")
            await asyncio.to_thread(order, run, Resume(id="again"))
            await first.answer("again", "done")

    asyncio.run(hold())


def test_requests_of_a_version_to_come_do_no_harm(stage: Stage) -> None:
    run = running(stage)
    info = runs.supervisor_info(run)
    assert info is not None
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(info.socket)
        connection.sendall(b'{"type":"teleport","by":"x"}\n')
        connection.sendall(b'{"type":"control","action":"grab","by":"x"}\n')
        connection.sendall(b'{"type":"control","action":"want","by":"x","urgency":9}\n')
        connection.sendall(messages.encode(messages.Send(order=Pause(id="p"), by="x")))
        until(lambda: [a for a in of_type(run, Ack) if a.id == "p" and a.state == "done"])


@pytest.mark.parametrize("line", [b'{"type":"novelty","a":1}', b'{"type":"controls","holder":1}'])
def test_a_client_passes_over_what_it_does_not_know(line: bytes) -> None:
    assert messages.decode_served(line) is None
    assert messages.decode_entry(messages.encode(Controls(holder="x", yours=True))) is None
