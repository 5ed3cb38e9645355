from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterator

import pytest
from torch.distributed import PrefixStore, TCPStore

from trainer.store import Store

_numbers = itertools.count()


@pytest.fixture(scope="session")
def store_server() -> Iterator[int]:
    """A TCPStore as torchrun hosts one, with its address in the environment; its port."""
    server = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MASTER_ADDR", "127.0.0.1")
        patch.setenv("MASTER_PORT", str(server.port))
        yield server.port


@pytest.fixture(scope="session")
def connections(store_server: int) -> dict[int, Store]:
    """One connection per rank for all tests: torch needs five seconds for some of them."""
    return {}


@pytest.fixture
def stores(connections: dict[int, Store]) -> Callable[[int], list[Store]]:
    """Makes the stores of so many ranks; nobody has put anything there before."""

    def make(world: int) -> list[Store]:
        prefix, made = f"fresh-{next(_numbers)}", []
        for rank in range(world):
            if rank not in connections:
                connections[rank] = Store(rank, world)
            store = copy.copy(connections[rank])
            store.world = world
            store._store = PrefixStore(prefix, store._store)
            made.append(store)
        return made

    return make
