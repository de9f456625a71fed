"""Does a server stay right and small under good, bad and too much traffic?

    python -m benchmarks.soak [--minutes 10] [--folder build/soak]

The service is the tiny workload with its real model, with batching and with captures. These clients work
beside one another:

good      a pooled client per thread; scores must be those that the same request got at first
json      the same requests on the JSON door: the same scores
levels    the same at every debug level: the same scores, or none where the level does not predict
packed    the same requests, compressed in every way
bad       one wrong thing after the other, each with the status that it must get, and a right one after it
overload  bursts of more connections than the queue holds: 200, 408, 450 and nothing else

Passes (exit code 0) when no answer was wrong, captures are whole and take no more room than they may, and the
memory of the server stays within 3 % of what it is after a tenth of the time.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import shutil
import socket
import subprocess
import sys
import threading
import time
import zlib
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import urllib3
from benchmarks.models import RankModel, write_bundle
from benchmarks.workloads import TINY
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from recserve import testing
from recserve.client.request import build_request
from recserve.errors import RequestError
from recserve.wire import log_data, torchrec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.workloads import Request as Asked

    from recserve.messages import ScoreRequest

GROWTH = 0.03
CAPTURE_BYTES = 4 << 20
SHARED_DIFFERENCE = 1e-6  # what sharing a call may do to a score
ITEMS = 20_000
MAX_BODY_BYTES = 1 << 20
PATH = "/api/predict/soak"
JSON_PATH = "/v1/score/soak"
SPEC: dict[str, Any] = {
    "name": "soak",
    "token": "soak-token",
    "metadata": {
        "rpc": {
            "keepalive": 1000,
            "max_queue_size": 32,
            "max_body_bytes": MAX_BODY_BYTES,
            "batching": True,
            "max_batch_difference": SHARED_DIFFERENCE,
        }
    },
    "model_config": {
        "fg_mode": "normal",
        "remote_type": "file",
        "long_request_threshold": 0,
        "capture_max_bytes": CAPTURE_BYTES,
    },
}
HEAD = f"POST {PATH} HTTP/1.1\r\nHost: soak\r\nAuthorization: soak-token\r\n"


class Traffic:
    """The clients: counts of answers by kind, and everything that was wrong."""

    def __init__(self, port: int, asked: list[Asked], expected: list[bytes]) -> None:
        self.port = port
        self.asked = asked
        self.bodies = [torchrec.encode_request(request_of(one)) for one in asked]
        self.scores = [scores_of(answer) for answer in expected]
        self.counts: Counter[tuple[str, int]] = Counter()
        self.wrong: list[str] = []
        self.done = threading.Event()

    def good(self) -> None:
        """Right requests, at the pace of a patient client."""
        pool = pool_to(self.port)
        while not self.done.is_set():
            self.check_one(pool, "good")
            time.sleep(0.002)
        pool.close()

    def json(self) -> None:
        """The JSON door."""
        documents = [
            json.dumps({"user": one.user, "item_ids": one.item_ids}, default=plain).encode()
            for one in self.asked
        ]
        pool = pool_to(self.port)
        while not self.done.wait(0.02):
            number = random.randrange(len(documents))
            response = self.ask(pool, "json", documents[number], JSON_PATH)
            if response.status == 200:
                self.compare("json", number, json.loads(response.data)["outputs"])
        pool.close()

    def levels(self) -> None:
        """Every debug level."""
        pool = pool_to(self.port)
        while not self.done.wait(0.02):
            number, level = random.randrange(len(self.asked)), random.choice(LEVELS)
            body = torchrec.encode_request(request_of(self.asked[number], level=level))
            response = self.ask(pool, f"level {level}", body)
            if response.status == 200:
                found = scores_of(response.data)
                if level in (1, 3) and found:
                    self.wrong.append(f"level {level}: scores where there are none")
                elif level not in (1, 3):
                    self.compare(f"level {level}", number, found)
        pool.close()

    def packed(self) -> None:
        """Every compression."""
        pool = pool_to(self.port)
        while not self.done.wait(0.02):
            number = random.randrange(len(self.asked))
            name, pack = random.choice(list(PACKED.items()))
            response = self.ask(pool, name, pack(self.bodies[number]))
            if response.status == 200:
                self.compare(name, number, scores_of(response.data))
        pool.close()

    def ask(
        self, pool: urllib3.HTTPConnectionPool, kind: str, body: bytes, path: str = PATH
    ) -> urllib3.BaseHTTPResponse:
        """Send a right request; under the load of others it may be refused."""
        response = pool.request("POST", path, body=body, headers={"Authorization": "soak-token"})
        self.count(kind, response.status, {200, 408, 450})
        return response

    def compare(self, kind: str, number: int, found: dict[str, list[float]]) -> None:
        """Note scores that are not those of the first answer."""
        expected = self.scores[number]
        if found.keys() != expected.keys() or not all(
            np.allclose(found[name], expected[name], rtol=0, atol=SHARED_DIFFERENCE) for name in expected
        ):
            self.wrong.append(f"{kind}: other scores than at first")

    def bad(self) -> None:
        """Every wrong thing in turn; the request after it must be right."""
        pool = pool_to(self.port)
        while not self.done.is_set():
            for name, (work, statuses) in BAD.items():
                status = work(self)
                self.count(name, status, statuses)
                self.check_one(pool, "after bad")
        pool.close()

    def overload(self) -> None:
        """A burst every two seconds."""
        while not self.done.wait(2.0):
            clients = [threading.Thread(target=self.one_of_many) for _ in range(100)]
            for client in clients:
                client.start()
            for client in clients:
                client.join()

    def one_of_many(self) -> None:
        """One connection, one request."""
        body = random.choice(self.bodies)
        status = answered(self.port, HEAD.encode(), b"Content-Length: %d\r\n\r\n" % len(body), body)
        self.count("overload", status, {200, 408, 450})

    def check_one(self, pool: urllib3.HTTPConnectionPool, kind: str) -> None:
        """Send one right request: under the load of others it may be refused, not answered wrong."""
        number = random.randrange(len(self.bodies))
        response = self.ask(pool, kind, self.bodies[number])
        if response.status == 200:
            self.compare(kind, number, scores_of(response.data))

    def count(self, kind: str, status: int, allowed: set[int]) -> None:
        """Count an answer; one that must not be is wrong."""
        self.counts[kind, status] += 1
        if status not in allowed:
            self.wrong.append(f"{kind}: status {status}, expected {sorted(allowed)}")


def request_of(asked: Asked, *, level: int = 0) -> ScoreRequest:
    return build_request(asked.user, asked.item_ids, debug_level=level)


def scores_of(answer: bytes) -> dict[str, list[float]]:
    return {name: values.tolist() for name, values in torchrec.decode_response(answer).outputs.items()}


def plain(value: Any) -> Any:
    """What numpy has, as JSON has it."""
    return value.tolist()


def pool_to(port: int) -> urllib3.HTTPConnectionPool:
    return urllib3.HTTPConnectionPool("127.0.0.1", port, maxsize=1, retries=False, timeout=20)


def answered(port: int, *parts: bytes, pause: float = 0.0) -> int:
    """Send bytes on a connection of their own; the status, 0 if it is closed without an answer."""
    with socket.create_connection(("127.0.0.1", port), 20) as connection:
        try:
            for part in parts:
                connection.sendall(part)
                time.sleep(pause)
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused while sending: the answer is there to be read
        try:
            first = connection.recv(4096)
        except ConnectionResetError:
            return 0
    return int(first.split(b" ", 2)[1]) if first.startswith(b"HTTP/1.1 ") else 0


def body_of(body: bytes) -> Callable[[Traffic], int]:
    return lambda traffic: answered(
        traffic.port, HEAD.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body
    )


def bytes_of(*parts: bytes, pause: float = 0.0) -> Callable[[Traffic], int]:
    return lambda traffic: answered(traffic.port, *parts, pause=pause)


def hang_up(traffic: Traffic) -> int:
    """Leave in the middle of a body."""
    with socket.create_connection(("127.0.0.1", traffic.port), 20) as connection:
        connection.sendall(HEAD.encode() + b"Content-Length: 1000\r\n\r\nhalf")
    return 0


def hang_up_before_the_answer(traffic: Traffic) -> int:
    """Send a request and do not wait."""
    body = traffic.bodies[0]
    with socket.create_connection(("127.0.0.1", traffic.port), 20) as connection:
        connection.sendall(HEAD.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    return 0


#: Debug levels, known and unknown.
LEVELS = (0, 1, 2, 3, 100, 101, 102, 903, 904)
#: How a body is made smaller.
PACKED: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zlib": zlib.compress,
    "snappy": lambda body: bytes(pa.Codec("snappy").compress(body, asbytes=True)),
    "zstd": lambda body: bytes(pa.Codec("zstd").compress(body, asbytes=True)),
    "lz4": lambda body: bytes(pa.Codec("lz4").compress(body, asbytes=True)),
}
#: What is wrong → how it is sent, and the statuses that it may get; any body may meet a full queue.
BAD: dict[str, tuple[Callable[[Traffic], int], set[int]]] = {
    "garbage": (body_of(b"garbage" * 100), {400, 408, 450}),
    "truncated": (lambda traffic: body_of(traffic.bodies[0][:-3])(traffic), {400, 408, 450}),
    "zlib bomb": (body_of(zlib.compress(bytes(100 << 20))), {413, 408, 450}),
    "damaged gzip": (body_of(b"\x1f\x8b" + b"x" * 100), {400, 408, 450}),
    "too large": (body_of(b"x" * (2 * MAX_BODY_BYTES)), {413, 450}),
    "broken json": (
        bytes_of(HEAD.replace(PATH, JSON_PATH).encode(), b'Content-Length: 9\r\n\r\n{"user": '),
        {400, 408, 450},
    ),
    "many items": (
        body_of(torchrec.encode_request(build_request({}, ["i"] * 150_000))),
        {413, 408, 450},
    ),
    "wrong token": (
        bytes_of(HEAD.replace("soak-token", "wrong").encode(), b"Content-Length: 0\r\n\r\n"),
        {401},
    ),
    "unknown service": (bytes_of(HEAD.replace(PATH, "/api/predict/x").encode(), b"\r\n"), {404}),
    "wrong method": (bytes_of(HEAD.replace("POST", "PUT").encode(), b"\r\n"), {405}),
    "long head": (bytes_of(HEAD.encode() + b"a: " + b"x" * 100_000), {431}),
    "not http": (bytes_of(b"\x16\x03\x01\x02\x00\x01"), {400}),
    "slow body": (bytes_of(HEAD.encode(), b"Content-Length: 9\r\n\r\n", b"x", pause=0.01), {408, 450}),
    "hang up": (hang_up, {0}),
    "no patience": (hang_up_before_the_answer, {0}),
}


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--minutes", type=float, default=10.0)
    arguments.add_argument("--folder", type=Path, default=Path("build/soak"))
    options = arguments.parse_args()
    bundle, items = prepare(options.folder)
    captures = options.folder / "captures"
    shutil.rmtree(captures, ignore_errors=True)
    spec = {
        **SPEC,
        "model_config": {
            **SPEC["model_config"],
            "tables": [{"name": str(items.absolute()), "key": "item_id"}],
            "request_log_path": str(captures.absolute()),
        },
    }
    asked = list(TINY.requests(50, items=ITEMS))
    with testing.serve(bundle, spec) as server:
        port = int(server.base_url.rpartition(":")[2])
        first = [first_answer(port, torchrec.encode_request(request_of(one))) for one in asked]
        traffic = Traffic(port, asked, first)
        memory = run(traffic, server.pid, options.minutes * 60)
        right = [first_answer(port, body) for body in traffic.bodies] == first
        status = server.stop()
    traffic.wrong += wrong_captures(captures)
    return report(traffic, memory, right=right, status=status)


def wrong_captures(folder: Path) -> Iterator[str]:
    """What is wrong with the requests that were kept."""
    kept = [path for path in folder.rglob("*") if path.is_file()]
    if not kept:
        yield "captures: none"
    if (size := sum(path.stat().st_size for path in kept)) > CAPTURE_BYTES:
        yield f"captures: {size} bytes of at most {CAPTURE_BYTES}"
    for path in kept:
        try:
            log_data.decode(path.read_bytes())
        except RequestError as error:
            yield f"captures: a file that cannot be read: {error}"


def prepare(folder: Path) -> tuple[Path, Path]:
    """The bundle and its item table."""
    bundle, items = folder / "tiny", folder / "items.parquet"
    if not (bundle / "scripted_model.pt").exists():
        write_bundle(TINY, RankModel(TINY, tile=False), bundle, input_tile=0)
    table = TINY.item_table(ITEMS)
    pq.write_table(table, items)
    return bundle, items


def first_answer(port: int, body: bytes) -> bytes:
    response = pool_to(port).request("POST", PATH, body=body, headers={"Authorization": "soak-token"})
    assert response.status == 200, response.data
    return response.data


def run(traffic: Traffic, pid: int, seconds: float) -> list[tuple[float, int]]:
    """Let the clients work; gives the server's memory by time."""
    works = (traffic.good, traffic.good, traffic.json, traffic.levels, traffic.packed, traffic.bad)
    clients = [threading.Thread(target=work) for work in (*works, traffic.overload)]
    memory: list[tuple[float, int]] = []
    for client in clients:
        client.start()
    began = time.monotonic()
    with Progress(console=Console(stderr=True)) as progress:
        bar = progress.add_task("soaking", total=seconds)
        while (now := time.monotonic() - began) < seconds:
            memory.append((now, resident_bytes(pid)))
            progress.update(bar, completed=now)
            time.sleep(1.0)
    traffic.done.set()
    for client in clients:
        client.join()
    memory.append((time.monotonic() - began, resident_bytes(pid)))
    return memory


def resident_bytes(pid: int) -> int:
    """RSS of a process; fails if it has ended."""
    shown = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, check=True, text=True)
    return int(shown.stdout) * 1024


def report(traffic: Traffic, memory: list[tuple[float, int]], *, right: bool, status: int) -> int:
    console = Console()
    table = Table("traffic", "answers by status", title="Soak")
    for kind in sorted({kind for kind, _ in traffic.counts}):
        answers = {status: count for (of, status), count in sorted(traffic.counts.items()) if of == kind}
        table.add_row(kind, ", ".join(f"{status or 'none'}: {count}" for status, count in answers.items()))
    console.print(table)
    seconds = memory[-1][0]
    settled = [rss for now, rss in memory if now >= seconds / 10]
    growth = max(settled) / settled[0] - 1
    table = Table("minute", "RSS MB", title="Memory of the server")
    for minute in range(int(seconds // 60) + 1):
        table.add_row(str(minute), f"{next(rss for now, rss in memory if now >= 60 * minute) / 1e6:.1f}")
    console.print(table)
    for line, count in Counter(traffic.wrong).most_common(20):
        console.print(f"wrong, {count} times: {line}")
    passed = right and status == 0 and not traffic.wrong and growth <= GROWTH
    console.print(
        f"{'passed' if passed else 'FAILED'}: {seconds / 60:.1f} minutes, "
        f"{sum(traffic.counts.values())} requests, "
        f"{len(traffic.wrong)} wrong, right afterwards: {right}, exit status {status}, "
        f"memory grew by {growth:.1%} after a tenth of the time (at most {GROWTH:.0%})"
    )
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
