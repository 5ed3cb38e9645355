"""The dashboard in a browser: textual-serve runs the command, a web socket shows it."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pyte
import pytest
from make_journal import Shape, run_directory
from test_flows import open_run, text_of, until

from cockpit import runs

WIDTH, HEIGHT = 120, 40
PROGRAM = """
import sys
from textual_serve.server import Server
Server(f"{sys.executable} -m cockpit attach main", port=int(sys.argv[1])).serve()
"""


class Page:
    """What a browser has: a terminal that is fed by a web socket."""

    def __init__(self, connection: aiohttp.ClientWebSocketResponse) -> None:
        self.connection = connection
        self.screen = pyte.Screen(WIDTH, HEIGHT)
        self._stream = pyte.ByteStream(self.screen)

    async def until(self, text: str, seconds: float = 30.0) -> str:
        """Take what comes until a text is on the page."""
        async with asyncio.timeout(seconds):
            while text not in (shown := "\n".join(self.screen.display)):
                message = await self.connection.receive()
                assert message.type is not aiohttp.WSMsgType.CLOSED, shown
                if message.type is aiohttp.WSMsgType.BINARY:
                    self._stream.feed(message.data)
            return shown

    async def type(self, keys: str) -> None:
        """Press keys."""
        await self.connection.send_json(["stdin", keys])


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[Page]:
    run_directory(tmp_path, Shape(steps=120), "main")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {"L4COCKPIT_RUNS_DIR": str(tmp_path), "TERM": "linux"}
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, str(port), env=environment,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    address = f"http://127.0.0.1:{port}/ws?width={WIDTH}&height={HEIGHT}"
    async with aiohttp.ClientSession() as session:
        for _ in range(200):
            try:
                connection = await session.ws_connect(address)
                break
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.1)
        else:
            raise AssertionError("textual-serve did not come up")
        yield Page(connection)
        await connection.close()
    server.terminate()
    await server.wait()


async def test_it_is_the_dashboard_of_a_terminal(page: Page, tmp_path: Path) -> None:
    await page.until("120/120")
    shown = await page.until("busiest")
    app = open_run(runs.find(tmp_path, "main"))
    async with app.run_test(size=(WIDTH, HEIGHT)) as pilot:
        await until(pilot, lambda: "120/120" in text_of(app, "header"))
        for name in ("header", "loss", "experts", "events", "footer"):
            for line in text_of(app, name).splitlines():
                assert line.rstrip() in shown, name


async def test_keys_and_leaving(page: Page) -> None:
    await page.until("120/120")
    await page.type("2")
    await page.until("zoom")
    await page.type("q")
    with pytest.raises(AssertionError):  # the server says that it has gone
        await page.until("never")
