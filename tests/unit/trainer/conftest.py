from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import pytest
from torch.distributed import TCPStore

from trainer.store import Store


@pytest.fixture
def store_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A TCPStore as torchrun hosts one, with its address in the environment; its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = TCPStore("127.0.0.1", port, is_master=True, wait_for_workers=False)
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", str(port))
    yield port
    del server


@pytest.fixture
def stores(store_server: int) -> Callable[[int], list[Store]]:
    """Makes the connections of so many ranks to one fresh store."""
    return lambda world: [Store(rank, world) for rank in range(world)]
