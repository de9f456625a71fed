"""The demo, run as a newcomer runs it: what it prints is true, and what it leaves serves again."""

from __future__ import annotations

import json
import re

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.end_to_end.newcomer import UNKNOWN, Demo, first_request, run, serving

from recserve.client import captures
from recserve.client.client import Client, Scores

NAMES = ("probs_ctr", "probs_cvr")


# --- what it prints ---


def test_the_demo_ends_well(demo: Demo) -> None:
    assert demo.status == 0, demo.stderr[-3000:]


@pytest.mark.parametrize("tile", ["", "   INPUT_TILE 2", "   INPUT_TILE 3"])
def test_online_scores_are_the_offline_ones_in_every_tile_mode(demo: Demo, tile: str) -> None:
    (value,) = re.findall(rf"^max \|online - offline\| = (\S+){tile}$", demo.stdout, re.MULTILINE)

    assert 0 <= float(value) <= 1e-6


def test_the_model_ranks_better_than_any_single_feature(demo: Demo) -> None:
    pattern = r"AUC \(ctr\) (\S+)   best single feature: (\S+) (\S+)  gain (\S+)"
    match = re.fullmatch(pattern, demo.line("AUC"))

    assert match
    area, _, alone, gain = match.groups()
    assert 0.5 < float(alone) < float(area) < 1
    assert float(gain) == pytest.approx(float(area) - float(alone), abs=2e-4)


def test_every_stage_of_a_request_has_its_latency(demo: Demo) -> None:
    stages = dict(re.findall(r"^│ (\w+) +│ (\d+\.\d{3}) │$", demo.stdout, re.MULTILINE))

    assert list(stages) == ["receive", "queue", "decode", "look_up", "generate", "run", "encode", "respond"]
    assert all(float(milliseconds) > 0 for milliseconds in stages.values())


DOORS = [
    "protobuf, /api/predict/demo_rank",
    "the same, at the address that discovery told",
    "the same, with debug level 2",
    "the same, sent again as it was kept",
    "JSON, /v1/score/demo_rank",
    "gRPC, recserve.Predict/Score",
    "tensors in JSON, /v2/models/demo_rank/infer",
]


def test_every_door_gives_the_scores_of_the_eas_client_to_the_bit(demo: Demo) -> None:
    rows = re.findall(r"^│ (.+?) +│ (\S.*?) +│ (\d+\.\d) +│$", demo.stdout, re.MULTILINE)

    assert [(door, scores) for door, scores, _ in rows] == [(door, "equal") for door in DOORS]


def test_one_item_is_shown_as_the_model_saw_it_and_its_request_was_kept(demo: Demo) -> None:
    assert re.search(r"^  columns   age:\d+  .*  …$", demo.stdout, re.MULTILINE)
    assert re.search(r"^  features  user_id:\d+  .*  …$", demo.stdout, re.MULTILINE)
    kept = captures.read(demo.folder / demo.line("debug level 100 kept ").rpartition(" ")[2])

    assert kept.path.is_relative_to(demo.folder / ".demo/captures")
    assert kept.data.raw_features.keys() == kept.data.generate_features.keys() != set()


# --- what it leaves ---


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("bundle", {}),
        ("bundle_tile2", {"INPUT_TILE": "2"}),
        ("bundle_tile3", {"INPUT_TILE": "3"}),
    ],
)
def test_a_bundle_is_laid_out_as_the_original_exports_it(
    demo: Demo, name: str, flags: dict[str, str]
) -> None:
    bundle = demo.folder / ".demo" / name

    assert {path.name for path in bundle.iterdir()} == {
        "scripted_model.pt",
        "gm.code",
        "fg.json",
        "pipeline.config",
        "model_acc.json",
        "input_schema.json",  # our own
    }
    assert json.loads((bundle / "model_acc.json").read_text()) == {
        "SPARSE_INT64": "1",
        "QUANT_EMB": "INT8",
        **flags,
    }
    assert len(json.loads((bundle / "fg.json").read_text())["features"]) >= 30
    assert "int_nbit_split_embedding_codegen_lookup_function" in (bundle / "gm.code").read_text()


def test_the_printed_line_serves_the_scores_that_the_demo_printed(demo: Demo) -> None:
    service = json.loads((demo.folder / ".demo/service.json").read_text())
    request = first_request(demo)

    with (
        serving(demo.line("recserve serve "), demo.folder) as url,
        Client(url, service["name"], service["token"], timeout_s=30) as client,
    ):
        scores = client.score(**request)

    assert set(scores) == set(NAMES)
    known = np.array([item_id != UNKNOWN for item_id in request["item_ids"]])
    offline = pq.read_table(demo.folder / ".demo/scores.parquet").slice(0, len(known))
    for name in NAMES:
        assert np.abs(scores[name] - offline[name].to_numpy())[known].max() <= 1e-6
        assert set(scores[name][~known]) == {0}  # item_empty_score
    assert printed_top(demo) == shown_top(scores)


def printed_top(demo: Demo) -> list[tuple[str, str, str]]:
    """Items, ctr and cvr of the first user in the demo's table."""
    rows = [[cell.strip() for cell in line.split("│")] for line in demo.stdout.splitlines() if "│ i" in line]
    return [(item_id, ctr, cvr) for _, _, _, item_id, _, ctr, cvr, *_ in rows[:3]]


def shown_top(scores: Scores) -> list[tuple[str, str, str]]:
    best = np.argsort(scores["probs_ctr"])[::-1][:3]
    ctr, cvr = (scores[name] for name in NAMES)
    return [(scores.item_ids[row], f"{ctr[row]:.3f}", f"{cvr[row]:.3f}") for row in best]


def test_the_export_runs_where_torchrec_cannot_be_imported(demo: Demo) -> None:
    """The rows and scores are those that the demo left of INPUT_TILE 3."""
    without = "import sys; sys.modules['torchrec'] = None; from recserve.cli.app import main; main()"
    files = (".demo/bundle_tile3", ".demo/rows.parquet", "again.parquet")

    done = run("-c", without, "predict", *files, cwd=demo.folder)

    assert done.returncode == 0, done.stderr
    again, left = (pq.read_table(demo.folder / name) for name in ("again.parquet", ".demo/scores.parquet"))
    assert again.equals(left)
