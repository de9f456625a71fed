"""What deploying costs, and whether requests notice: rolls, scaling, a canary and kills under steady traffic.

    python -m benchmarks.deploy [--folder build/bench] [--requests 2000] [--rounds 3]

The tiny model, two instances of it in a group, on a control plane of its own; requests come from a raw
generator and from the unmodified EAS client, both of which follow discovery, and through the gateway. Writes
benchmarks/results-deploy.md and ends with one line of JSON, its figures; the exit status is 1 where a target
is missed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import urllib3
from benchmarks import models
from benchmarks.machine import commit, machine, record, table
from benchmarks.workloads import TINY
from rich.console import Console
from tests.deploy.simulation import Simulation
from tests.end_to_end.deployed import (
    EasTraffic,
    GatewayTraffic,
    RawTraffic,
    ask_with_eas,
    control_plane,
    settle,
)

from recserve import testing
from recserve.client.request import build_request
from recserve.client.targets import DISCOVERY_PATH
from recserve.wire.torchrec import encode_request

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.end_to_end.deployed import Deployed, Traffic

TOKEN = "bench"
GROUP = "shop"
SERVICES, INSTANCES = 200, 2  # of the simulation
console = Console(stderr=True)

#: figure → what it must not exceed.
TARGETS: dict[str, float] = {
    "failed": 0,
    "create_over_serve_s": 3.0,
    "weights_off_percent": 2.0,
    "control_plane_rss_mb": 120.0,
    "reconcile_pass_ms": 100.0,
}


def main() -> int:
    """Measure everything, write the page, print the line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("build/bench"))
    parser.add_argument("--requests", type=int, default=2000, help="that weights are counted over")
    parser.add_argument("--rounds", type=int, default=3, help="of beginning a service")
    arguments = parser.parse_args()
    folder: Path = arguments.folder.absolute()
    models.build(folder)
    figures: dict[str, Any] = {"machine": machine(), "commit": commit()}
    with tempfile.TemporaryDirectory(prefix="recserve-") as home:
        console.print("» beginnings")
        figures |= beginnings(folder, Path(home) / "beginnings", arguments.rounds)
        console.print("» changes under traffic")
        figures |= changes(folder, Path(home) / "changes", arguments.requests)
        console.print("» a pass of the reconciler")
        figures |= reconciling(Path(home) / "simulation")
    missed = [name for name, most in TARGETS.items() if figures[name] > most]
    record("deploy", "Deploying", "make bench-deploy", page(figures))
    print(json.dumps({**figures, "missed": missed}))
    return 1 if missed else 0


def document(folder: Path, name: str, instances: int) -> dict[str, Any]:
    """The service file of the tiny model."""
    return {
        "name": name,
        "token": TOKEN,
        "processor": "easyrec-torch-1.12",
        "model_path": str(folder / "tiny"),
        "metadata": {"instance": instances, "group": GROUP},
        "model_config": {
            "fg_mode": "normal",
            "remote_type": "file",
            "tables": [{"name": str(folder / "tiny-items.parquet"), "key": "item_id"}],
        },
    }


def beginnings(folder: Path, home: Path, rounds: int) -> dict[str, float]:
    """Seconds to the first answer: of `recserve serve` alone, and from `recserve create` on; medians."""
    body = body_of(folder)
    alone: list[float] = []
    created: list[float] = []
    with control_plane(home) as plane:
        for number in range(rounds):
            name = f"first-{number}"
            spec = {key: value for key, value in document(folder, name, 1).items() if key != "model_path"}
            spec.pop("metadata")
            began = time.perf_counter()
            with testing.serve(folder / "tiny", spec) as server:
                first_answer(lambda url=server.url: url, body)  # type: ignore[misc]
                alone.append(time.perf_counter() - began)
            path = home / f"{name}.json"
            path.write_text(json.dumps(document(folder, name, 1)))
            began = time.perf_counter()
            plane.recserve("create", str(path), "--no-wait")
            first_answer(lambda name=name: discovered(plane, name), body)  # type: ignore[misc]
            created.append(time.perf_counter() - began)
            plane.recserve("delete", name, "-y")
    serve_s, create_s = statistics.median(alone), statistics.median(created)
    return {
        "serve_to_first_answer_s": round(serve_s, 2),
        "create_to_first_answer_s": round(create_s, 2),
        "create_over_serve_s": round(create_s - serve_s, 2),
    }


def discovered(plane: Deployed, name: str) -> str:
    """Where the first instance of a service is asked; "" while nobody is ready."""
    answer = urllib3.request("GET", f"{plane.client.url}{DISCOVERY_PATH}{name}")
    if answer.status != 200:
        return ""
    first = answer.json()["endpoints"]["items"][0]
    return f"http://{first['ip']}:{first['port']}/api/predict/{name}"


def first_answer(where: Callable[[], str], body: bytes) -> None:
    """Ask until it is answered."""
    while True:
        url = where()
        if url and urllib3.request("POST", url, body=body, headers={"Authorization": TOKEN}).status == 200:
            return
        time.sleep(0.01)


def body_of(folder: Path) -> bytes:
    """One request."""
    asked = next(iter(TINY.requests(1)))
    return encode_request(build_request(user=asked.user, item_ids=asked.item_ids))


def calls_of() -> list[list[Any]]:
    """The same request as a user of the EAS client makes it."""
    asked = next(iter(TINY.requests(1)))
    kinds = {str: "STRING", int: "BIGINT", float: "DOUBLE"}
    plain = {name: value.item() if hasattr(value, "item") else value for name, value in asked.user.items()}
    user = [["add_user_fea", name, value, kinds[type(value)]] for name, value in plain.items()]
    return [*user, *(["add_item_id", str(item)] for item in asked.item_ids)]


def changes(folder: Path, home: Path, requests: int) -> dict[str, Any]:
    """Each change, under traffic: seconds, requests and failures; the weights of a canary; memory."""
    with ExitStack() as stack:
        plane = stack.enter_context(control_plane(home))
        paths = {name: home / f"{name}.json" for name in ("stable", "canary")}
        for name, path in paths.items():
            path.write_text(json.dumps(document(folder, name, 2 if name == "stable" else 1)))
        plane.recserve("create", str(paths["stable"]))
        traffic = (
            stack.enter_context(RawTraffic(plane.client.url, "stable", TOKEN, body_of(folder))),
            stack.enter_context(GatewayTraffic(plane.gateway, "stable", TOKEN, body_of(folder))),
            stack.enter_context(EasTraffic(plane.client.url, "stable", TOKEN, calls_of())),
        )
        settle(*traffic, known=2)
        rows = [measured(name, known, change, traffic) for name, known, change in changes_of(plane)]
        share = canary(plane, paths["canary"], requests, rows, traffic)
        rss = psutil.Process(plane.process.pid).memory_info().rss
    return {
        "changes": rows,
        "failed": sum(row["failed"] for row in rows),
        "requests": sum(row["requests"] for row in rows),
        "canary_percent": round(100 * share, 2),
        "weights_off_percent": round(abs(100 * share - 10), 2),
        "control_plane_rss_mb": round(rss / 1e6, 1),
    }


def changes_of(plane: Deployed) -> list[tuple[str, int, Callable[[], object]]]:
    """What is done, how many instances there are then, and how."""
    step = '-Dprocessor_envs=[{"name": "STEP", "value": "2"}]'
    return [
        ("roll", 2, lambda: plane.recserve("modify", "stable", step)),
        ("roll back", 2, lambda: plane.recserve("version", "stable", "1")),
        ("scale 2 to 4", 4, lambda: plane.recserve("scale", "stable", "4")),
        ("scale 4 to 1", 1, lambda: plane.recserve("scale", "stable", "1")),
        ("scale 1 to 2", 2, lambda: plane.recserve("scale", "stable", "2")),
        ("kill an instance", 2, lambda: plane.kill_one("stable")),
    ]


def measured(
    name: str, known: int, change: Callable[[], object], traffic: Sequence[Traffic]
) -> dict[str, Any]:
    """Make a change, and count what came of the requests until all clients know its end."""
    console.print(f"  {name}")
    began = time.perf_counter()
    change()
    seconds = time.perf_counter() - began
    told = settle(*traffic, known=known)
    if told.failures:
        console.print(f"  {len(told.failures)} failed: {told.failures[0]}")
    return {
        "change": name,
        "seconds": round(seconds, 2),
        "requests": told.requests,
        "failed": len(told.failures),
    }


def canary(
    plane: Deployed, path: Path, requests: int, rows: list[dict[str, Any]], traffic: Sequence[Traffic]
) -> float:
    """Give a canary 10 % of a group; the share that it gets of the EAS client's requests."""

    def shift() -> None:
        plane.recserve("create", str(path))
        plane.recserve("release", "stable", "--weight", "90")
        plane.recserve("release", "canary", "--weight", "10")

    rows.append(measured("canary 90/10", 2, shift, traffic))
    before = plane.answered("canary")["canary"]
    told = ask_with_eas(plane.client.url, GROUP, TOKEN, calls_of(), requests)
    rows.append(
        {
            "change": "requests to the group",
            "seconds": 0.0,
            "requests": told.requests,
            "failed": len(told.failures),
        }
    )
    return (plane.answered("canary")["canary"] - before) / requests


def reconciling(folder: Path) -> dict[str, float]:
    """Milliseconds of a pass over many services, in simulation, when all is as wanted; the median of 50."""
    simulation = Simulation(folder)
    for number in range(SERVICES):
        simulation.create(name=f"service-{number}", metadata={"instance": INSTANCES})
    simulation.step(5)
    assert all(simulation.status(name).status == "Running" for name in simulation.store.services)
    passes = []
    for _ in range(50):
        simulation.now += 1
        began = time.perf_counter()
        simulation.reconciler.reconcile()
        passes.append(time.perf_counter() - began)
    simulation.store.close()
    return {"reconcile_pass_ms": round(1e3 * statistics.median(passes), 2)}


def page(figures: dict[str, Any]) -> str:
    """The figures as tables."""
    names = ("change", "seconds", "requests", "failed")
    changed = table(list(names), [[str(row[name]) for name in names] for row in figures["changes"]])
    targets = table(
        ["figure", "at most", "measured"],
        [[name.replace("_", " "), f"{most:g}", f"{figures[name]:g}"] for name, most in TARGETS.items()],
    )
    return f"""The tiny model, two instances; a raw generator, straight and through the gateway, and the
unmodified EAS client in mode DIRECT.

{targets}

A first answer comes {figures["create_to_first_answer_s"]} s after `recserve create`, and
{figures["serve_to_first_answer_s"]} s after `recserve serve` alone. The canary had
{figures["canary_percent"]} % of the requests to its group. Reconciling: {SERVICES} services of {INSTANCES}
instances, in simulation.

{changed}

Seconds are until the command says that it is done, and of a kill until the instance is ready again; requests
and failures are counted until both clients know of it.
"""


if __name__ == "__main__":
    sys.exit(main())
