"""What the gateway adds to a request: the same instance asked directly and by HAProxy, in turns.

    python -m benchmarks.gateway [--requests 4000] [--rounds 5]

The instance answers at once, so the difference is the gateway's. Each request by one way is followed by one
by the other, so that whatever else the machine does meets both; of several rounds the median counts. Passes
(exit code 0) when 40 KB take at most 0.1 ms more at p50. Ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.machine import commit, machine

from recserve.deploy.gateway.gateway import Gateway
from recserve.deploy.gateway.process import Address
from recserve.deploy.gateway.program import MISSING, found
from recserve.deploy.records import Instance, Phase, Rollout, Service, Version
from recserve.deploy.store import Store

if TYPE_CHECKING:
    from collections.abc import Sequence

SIZES = {"1 KB": 1_000, "40 KB": 40_000, "200 KB": 200_000}
MOST_ADDED_MS = 0.1
WARM_UP = 200
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"a" * 1000


class Instant(asyncio.Protocol):
    """Reads a request to its end, and answers."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._buffer = bytearray()
        self._missing = 0

    def data_received(self, data: bytes) -> None:
        if self._missing:
            self._missing -= len(data)
        else:
            self._buffer += data
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(self._buffer[:end]).lower()
            length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
            self._missing = end + 4 + length - len(self._buffer)
            self._buffer.clear()
        if not self._missing:
            self._transport.write(ANSWER)


async def instance() -> None:
    """Answer until the process is ended; its port is printed first."""
    server = await asyncio.get_running_loop().create_server(Instant, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


class Way:
    """A connection that stays, by one of the two ways."""

    def __init__(self, port: int) -> None:
        self._connection = socket.create_connection(("127.0.0.1", port))
        self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.taken_s: list[float] = []

    def ask(self, request: bytes) -> None:
        begun = time.perf_counter()
        self._connection.sendall(request)
        answer = b""
        while not answer.endswith(b"a" * 1000):
            part = self._connection.recv(65_536)
            assert part, answer
            answer += part
        self.taken_s.append(time.perf_counter() - begun)
        assert answer.startswith(b"HTTP/1.1 200"), answer[:100]

    def close(self) -> None:
        self._connection.close()


def measure(direct: int, gateway: int, size: int, requests: int) -> dict[str, float]:
    """Milliseconds."""
    request = (
        b"POST /api/predict/instant HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % size
        + b"x" * size
    )
    ways = {"direct": Way(direct), "gateway": Way(gateway)}
    for number in range(WARM_UP + requests):
        if number == WARM_UP:
            for way in ways.values():
                way.taken_s.clear()
        for way in ways.values():
            way.ask(request)
    for way in ways.values():
        way.close()
    found = {name: quantiles(way.taken_s) for name, way in ways.items()}
    return {
        **{f"{name}_{key}": value for name, values in found.items() for key, value in values.items()},
        "added_p50_ms": round(found["gateway"]["p50_ms"] - found["direct"]["p50_ms"], 4),
    }


def quantiles(taken_s: Sequence[float]) -> dict[str, float]:
    cuts = statistics.quantiles(taken_s, n=100)
    return {"p50_ms": round(cuts[49] * 1e3, 4), "p99_ms": round(cuts[98] * 1e3, 4)}


def main() -> int:
    """Measure, and print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=4000, help="of one round, for each size and way")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--instance", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.instance:
        asyncio.run(instance())
        return 0
    program = found()
    if program is None:
        sys.exit(MISSING)
    command = [sys.executable, "-m", "benchmarks.gateway", "--instance"]
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ)) as process,
    ):
        assert process.stdout is not None
        store = Store(Path(folder))
        gateway = Gateway(store, program, Address("127.0.0.1", 0), control="127.0.0.1:1")
        try:
            port = int(process.stdout.readline())
            with store.change() as change:
                change.put(Service("instant", "uid", "", 1, 1, Rollout(1, 1, 0.0)))
                change.put(Version("instant", 1, {"processor": "none"}))
                change.put(
                    Instance("instant-1-a", "instant", 1, Phase.READY, 0, 0, host="127.0.0.1", port=port)
                )
            gateway.start()
            by_gateway = int(gateway.url.rpartition(":")[2])
            rounds = [
                {name: measure(port, by_gateway, size, arguments.requests) for name, size in SIZES.items()}
                for _ in range(arguments.rounds)
            ]
        finally:
            gateway.close(keep=False)
            store.close()
            process.terminate()
    results = {
        name: {key: statistics.median(one[name][key] for one in rounds) for key in rounds[0][name]}
        for name in SIZES
    }
    passed = results["40 KB"]["added_p50_ms"] <= MOST_ADDED_MS
    print(json.dumps({"machine": machine(), "commit": commit(), "passed": passed, **results}))
    return not passed


if __name__ == "__main__":
    sys.exit(main())
