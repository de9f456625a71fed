"""The hosted product's documents, as its pages have them, run on this machine with real processes."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest
import urllib3
from tests.config.test_service import (
    PROCESSOR_PAGE_BYPASS,
    PROCESSOR_PAGE_NORMAL,
    REQUEST_LOG,
    TORCHEASYREC_DOCS,
    WARM_UP,
)
from tests.end_to_end.control_plane import PATIENCE_S, ControlPlane, upstreams
from tests.processors.conftest import ITEMS, write_bundle

from recserve.client.request import build_request
from recserve.deploy.client import ControlError
from recserve.wire.auth import sign
from recserve.wire.torchrec import decode_response, encode_request

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ASKED = encode_request(build_request(user={"taste": 3}, item_ids=["i1", "i2", "i3"]))
EXPECTED = [4.0, 5.0, 6.0]  # price + taste, see write_bundle

REGISTRY = """\
project:
  name: YOUR_FS_PROJECT
  offline: {kind: file, path: offline}
  online: {kind: file, path: online}
entities:
  item: {join_id: item_id}
views:
  item_base:
    entity: item
    offline_table: items.parquet
    fields: {item_id: string, price: float, cat: string, tags: array<int64>}
models:
  YOUR_FS_MODEL:
    features:
      - {view: item_base, feature: price}
      - {view: item_base, feature: cat}
      - {view: item_base, feature: tags}
"""


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[ControlPlane]:
    """A control plane that has the buckets and the feature store of the pages."""
    state = tmp_path / "state"
    for bucket, key in (("xxx", "xxx/export"), ("my-bucket", "my-model/20260316")):
        made = write_bundle(tmp_path / "made" / bucket)
        place = tmp_path / "buckets" / bucket / key
        place.parent.mkdir(parents=True)
        made.rename(place)
    for folder in ("myrequests", "warm-up"):
        (tmp_path / "buckets" / "my-bucket" / "my-model" / folder).mkdir()
    (state / "offline").mkdir(parents=True)
    pq.write_table(ITEMS, state / "offline" / "items.parquet")
    (state / "feature_store.yaml").write_text(REGISTRY)
    (state / "aliases.json").write_text(json.dumps({"oss://": str(tmp_path / "buckets")}))
    with ControlPlane(state) as running:
        yield running


def scores(address: str, path: str, token: str) -> list[float]:
    """Of the three items, by a client that signs, as the official ones do."""
    target = f"/api/predict/{path}"
    answer = urllib3.request(
        "POST", f"http://{address}{target}", body=ASKED, headers=sign(token, target, ASKED), retries=False
    )
    assert answer.status == 200, answer.data
    found: list[float] = decode_response(answer.data).outputs["score"].tolist()
    return found


def wait_until_gone(plane: ControlPlane, name: str) -> None:
    give_up_at = time.monotonic() + PATIENCE_S
    while name in {one["ServiceName"] for one in plane.client.services()}:
        assert time.monotonic() < give_up_at
        time.sleep(0.05)


@pytest.mark.parametrize("sample", [TORCHEASYREC_DOCS, PROCESSOR_PAGE_NORMAL])
def test_the_pages_of_the_hosted_product_run_as_written(plane: ControlPlane, sample: dict[str, Any]) -> None:
    made = plane.client.create(sample)
    name = made["ServiceName"]
    plane.wait_until_running(name)

    (address,) = upstreams(plane.url, name)

    assert scores(address, name, made["AccessToken"]) == EXPECTED
    assert any("are asked for" in one for one in made["Remarks"])


def test_the_page_without_feature_generation_runs_as_written(plane: ControlPlane) -> None:
    name = plane.client.create(PROCESSOR_PAGE_BYPASS)["ServiceName"]
    plane.wait_until_running(name)
    assert len(upstreams(plane.url, name)) == 1


def test_requests_are_kept_where_storage_says(plane: ControlPlane, tmp_path: Path) -> None:
    bucket = "oss://my-bucket/my-model"
    made = plane.client.create(
        {
            "name": "kept",
            "token": "mine",
            "processor": "easyrec-torch-1.12",
            "model_config": {
                **REQUEST_LOG,
                **WARM_UP,
                "fs_project": "YOUR_FS_PROJECT",
                "fs_model": "YOUR_FS_MODEL",
            }
            | {"load_feature_from_offlinestore": True},
            "storage": [
                {"mount_path": "/request_log", "OSS": {"path": f"{bucket}/myrequests/", "readOnly": False}},
                {
                    "mount_path": "/home/admin/docker_ml/workspace/model/",
                    "OSS": {"path": f"{bucket}/20260316"},
                },
                {"mount_path": "/warmup", "oss": {"path": f"{bucket}/warm-up", "readOnly": False}},
            ],
        }
    )
    assert made["AccessToken"] == "mine"
    plane.wait_until_running("kept")
    (address,) = upstreams(plane.url, "kept")
    assert scores(address, "kept", "mine") == EXPECTED

    plane.client.delete("kept")
    wait_until_gone(plane, "kept")

    kept = tmp_path / "buckets" / "my-bucket" / "my-model" / "warm-up"
    assert len(list(kept.glob("*.pb"))) == 1


def test_a_group_answers_by_its_own_name_with_one_token(plane: ControlPlane) -> None:
    for name in ("one", "two"):
        sample = {**TORCHEASYREC_DOCS, "metadata": {"group": "home", "rpc": {"drain_ms": 0}}}
        plane.client.create({**sample, "name": name})
        plane.client.put(name, "release", {"TrafficState": "grouping"})
    for name in ("one", "two"):
        plane.wait_until_running(name)
    group = plane.client.ask("GET", "/api/v2/groups/local/home")

    members = upstreams(plane.url, "home")

    assert len(members) == 2
    for address in members:
        assert scores(address, "home", group["AccessToken"]) == EXPECTED
    (address,) = upstreams(plane.url, "home.two")
    assert scores(address, "home.two", group["AccessToken"]) == EXPECTED
    assert scores(address, "two", plane.client.service("two")["AccessToken"]) == EXPECTED


def test_what_this_machine_lacks_is_refused_where_that_is_asked_for(plane: ControlPlane) -> None:
    metadata = {**TORCHEASYREC_DOCS["metadata"], "strict_resources": True}
    with pytest.raises(ControlError, match="no machine is in the pool 'eas-r-xxx'") as caught:
        plane.client.create({**TORCHEASYREC_DOCS, "metadata": metadata})
    assert caught.value.status == 400
    assert plane.client.services() == []
