"""A server whose model is rewritten says so, and stops using it when it answers something else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import urllib3
from prometheus_client.parser import text_string_to_metric_families
from tests.processors import rewritten

from recserve.client.client import Client, Scores
from recserve.testing import RunningServer, serve

if TYPE_CHECKING:
    from pathlib import Path


def asked(server: RunningServer) -> Scores:
    with Client(server.base_url, server.name, server.token, timeout_s=30) as client:
        return client.score(
            user={"user_id": 7, "clicks__item_id": "3;17;5"},
            item_features={"item_id": [1, 2, 3, 39], "tags": [4, 5, 6, 7]},
        )


def told(server: RunningServer, path: str) -> bytes:
    return urllib3.request("GET", f"{server.base_url}{path}", headers={"Accept": "application/json"}).data


def metrics(server: RunningServer) -> dict[tuple[str, str], float]:
    families = text_string_to_metric_families(told(server, "/metrics").decode())
    samples = [sample for family in families for sample in family.samples]
    return {(sample.name, ",".join(sample.labels.values())): sample.value for sample in samples}


@pytest.mark.parametrize(("away", "compiled"), [(0.0, "yes"), (1e-3, "off")])
def test_it_is_told_what_serves(tmp_path: Path, away: float, compiled: str) -> None:
    bundle = rewritten.write(tmp_path / "rank", away=away)

    def service(**model_config: Any) -> dict[str, Any]:
        return {"name": "rank", "model_config": {"fg_mode": "normal", **model_config}}

    with serve(bundle.path, service(compiled="off")) as server:
        expected = asked(server)
    with serve(bundle.path, service()) as server:
        result = asked(server)
        serves = json.loads(told(server, "/readyz"))["serves"]
        counts = metrics(server)

    for name in ("probs_ctr", "probs_cvr", "logits"):
        np.testing.assert_array_equal(result[name], expected[name])
    assert (serves["engine"], serves["compiled"]) == ("torchscript", compiled)
    assert counts["recserve_compiled_on", ""] == float(compiled == "yes")
    assert counts["recserve_compiled_checks_total", "different"] == float(compiled == "off")
    assert (counts["recserve_compiled_calls_total", "original"] > 0) == (compiled == "off")
