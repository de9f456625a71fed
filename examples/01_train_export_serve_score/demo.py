"""The main job, end to end: clicks → features → model → bundle → server → scores, and proof that they agree:
offline with online, and one door of the server with another.

    python examples/01_train_export_serve_score/demo.py            a few minutes on two cores
    python examples/01_train_export_serve_score/demo.py --small    a minute, to see it run

It leaves a bundle, its item table, its service file and a request that was kept in .demo/, and prints the
line that serves them again.
"""

from __future__ import annotations

import argparse
import json
import secrets
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import quiet  # noqa: F401 - before torch

# isort: split
import asking
import clicks as click_log
import doors
import export
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import report
import urllib3
from model import Layout
from rich.console import Console
from rows import join
from train import best_single_feature, generate, train

from recserve.columns import batch_from_arrow
from recserve.engines.torch_arrays import share
from recserve.features.config import load
from recserve.features.generator import Generator
from recserve.testing import serve

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

HERE = Path(__file__).parent
DEMO = Path(".demo")  # where you stand
EAS_PYTHON = HERE.parents[1] / ".venv-eas/bin/python"
console = Console()


def main() -> int:
    """Run the story; 0 when online and offline scores agree."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="a tenth of the data")
    small = parser.parse_args().small
    sizes = {"users": 400, "items": 3_000} if small else {}
    DEMO.mkdir(exist_ok=True)

    console.rule("1  clicks")
    clicks = click_log.generate(**sizes)
    pq.write_table(clicks.items, DEMO / "items.parquet")

    console.rule("2  features, by the code that will serve them")
    layout, generator = Layout.read(HERE / "fg.json"), Generator(load(HERE / "fg.json"))
    shuffled = join(clicks.train, clicks.items).take(permutation(clicks.train.num_rows))
    held_out = join(clicks.test, clicks.items)
    features = generate(generator, shuffled, "training features  ")
    test = generate(generator, held_out, "held-out features  ")

    console.rule("3  training")
    embedder, towers = train(layout, features, shuffled, epochs=4 if small else 3)
    labels = tuple(table["click"].to_numpy() for table in (shuffled, held_out))
    single = best_single_feature(layout, features, test, labels)

    console.rule("4  export")
    for tile in (0, 2, 3):
        model = export.scripted(embedder, towers, tile)
        export.write(
            bundle(tile), model, fg_json=HERE / "fg.json", schema=asking.schema(clicks.items), tile=tile
        )
        console.print(f"wrote {bundle(tile)}" + (f" (INPUT_TILE {tile})" if tile else ""))
    service = write_service(DEMO / "service.json")

    console.rule("5  serving held-out users through eas_prediction")
    asked = asking.requests(clicks.test, clicks.items)
    worst, answered = 0.0, list[dict[str, list[float]]]()
    for tile in (0, 2, 3):
        part = asked if tile == 0 else asked[: len(asked) // 4]
        scores, metrics = score_online(tile, part, service)
        if tile == 0:
            answered = scores
            report.scores(console, asked, scores, clicks.items)
            report.quality(console, asked, scores, single)
            report.latency(console, metrics)
        difference = report.difference(scores, score_offline(tile, part, clicks.items))
        console.print(
            f"max |online - offline| = {difference:.3g}" + (f"   INPUT_TILE {tile}" if tile else "")
        )
        worst = max(worst, difference)

    console.rule("6  one request by every door")
    rows = join(asking.as_log(asked[1:2]), clicks.items)
    made = share(generator.generate_joined(batch_from_arrow(rows)))
    tensors = {name: made[name] for name in layout.tensors()}
    worst = max(worst, every_door(asked[1], answered[1], service, tensors))

    console.rule("serve it again")
    console.print(f"recserve serve {bundle(0)} --config {DEMO / 'service.json'} --port 8000", highlight=False)
    console.print("then http://127.0.0.1:8000/docs is a page to try it, with the token of the service file")
    return 0 if worst <= 1e-6 else 1


def bundle(tile: int) -> Path:
    """Where the export of one tile mode lies."""
    return DEMO / ("bundle" if tile == 0 else f"bundle_tile{tile}")


def permutation(rows: int) -> pa.Array:
    """A seeded order of the training rows."""
    return pa.array(np.random.default_rng(3).permutation(rows))


def write_service(path: Path) -> dict[str, str]:
    """The service file, with a token of this run."""
    service = {
        "name": "demo_rank",
        "token": secrets.token_hex(16),
        "processor": "easyrec-torch-1.12",
        "metadata": {"instance": 1, "rpc": {"worker_threads": 2, "max_queue_size": 64, "grpc_port": -1}},
        "model_config": {
            "fg_mode": "normal",
            "outputs": "probs_ctr,probs_cvr",
            "item_empty_score": 0,
            "remote_type": "file",
            "tables": [{"name": "items.parquet", "key": "item_id"}],
            "request_log_path": "captures",
        },
    }
    path.write_text(json.dumps(service, indent=2))
    return {"name": str(service["name"]), "token": str(service["token"])}


def score_online(
    tile: int, asked: list[asking.Request], service: dict[str, str]
) -> tuple[report.Scores, str]:
    """Scores from a running server, and what its /metrics say afterwards."""
    with serve(bundle(tile), DEMO / "service.json") as server:
        address = (server.base_url, service["name"], service["token"])
        scores = asking.score(asked, EAS_PYTHON, HERE / "eas_client.py", address)
        return scores, urllib3.request("GET", f"{server.base_url}/metrics").data.decode()


def score_offline(tile: int, asked: list[asking.Request], items: pa.Table) -> pa.Table:
    """Scores of the same rows by `recserve predict`: the served artefact, but no store and no rates."""
    log = asking.as_log(asked)
    rows, scores = DEMO / "rows.parquet", DEMO / "scores.parquet"
    known = pa.array(np.isin(log["item_id"].to_pylist(), items["item_id"].to_pylist()))
    pq.write_table(join(log, items), rows)
    subprocess.run([sys.executable, "-m", "recserve", "predict", bundle(tile), rows, scores], check=True)
    return pq.read_table(scores).append_column("known", known)


def every_door(
    asked: asking.Request,
    expected: dict[str, list[float]],
    service: dict[str, str],
    tensors: Mapping[str, Tensor],
) -> float:
    """Ask for the same scores in every way; `tensors` are the features, for a service that makes none."""
    request = doors.plain(asked)
    with serve(bundle(0), DEMO / "service.json") as server, doors.client_of(server) as client:
        seen = client.score(**request, debug_level=2)
        capture = doors.keep(client, request, DEMO / "captures")
        answers = doors.by_features(server, request, capture)
    bypass = {**service, "model_config": {"fg_mode": "bypass", "outputs": list(expected)}}
    with serve(bundle(0), bypass) as server:
        answers += doors.by_tensors(server, tensors)
    report.texts(console, seen, capture)
    return report.doors(console, answers, expected)


if __name__ == "__main__":
    sys.exit(main())
