"""`recserve check` finds what would fail at start, and says how to mend it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from tests.cli.conftest import FEATURES, ITEMS, OUTPUTS
from tests.server.certificates import authority, signed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Folder


def test_a_bundle_that_can_be_served_passes_every_check(call: Callable[..., Any]) -> None:
    result = call("check", "bundle", "--config", "service.json")

    assert result.exit_code == 0, result.stdout
    assert result.stdout.splitlines() == [
        "✓ service file: 'rank', fg_mode normal",
        "✓ bundle: column_sum.json, run by the engine column_sum",
        "✓ features: 5 (2 item, 2 pair, 1 user), INPUT_TILE 0",
        "✓ model: reads 6 tensors, which the features send",
        "✓ items: 3 rows of items.parquet",
        "✓ answer: outputs probs_ctr, probs_cvr",
    ]


def test_a_service_file_alone_is_checked_with_its_table(call: Callable[..., Any]) -> None:
    result = call("check", "service.json")

    assert result.exit_code == 0
    assert "✓ item table: items.parquet: 3 rows, 3 columns, key 'item_id'" in result.stdout


def test_certificate_and_key_are_looked_at(call: Callable[..., Any], folder: Folder, tmp_path: Path) -> None:
    pair, other = signed(authority()), signed(authority())
    (tmp_path / "pair.pem").write_bytes(pair.pem + pair.key_pem())
    (tmp_path / "other.key").write_bytes(other.key_pem())
    rpc = dict.fromkeys(("tls_certificate", "tls_key"), str(tmp_path / "pair.pem"))

    folder.write("service.json", {"metadata": {"rpc": rpc}})
    fits = call("check", "service.json")
    folder.write("service.json", {"metadata": {"rpc": {**rpc, "tls_key": str(tmp_path / "other.key")}}})
    does_not = call("check", "service.json")

    assert f"valid until {pair.certificate.not_valid_after_utc:%Y-%m-%d}" in fits.stdout
    assert (fits.exit_code, does_not.exit_code) == (0, 1)
    assert "does not fit the certificate" in does_not.stdout


def test_json_has_the_same_findings(call: Callable[..., Any]) -> None:
    report = json.loads(call("check", "bundle", "--config", "service.json", "--json").stdout)

    assert report["ok"] is True
    assert report["findings"][-1] == {
        "check": "answer",
        "ok": True,
        "detail": "outputs probs_ctr, probs_cvr",
    }


def test_what_came_from_elsewhere_is_in_no_finding(
    call: Callable[..., Any], folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHELF", "hunter22")
    service = json.loads((folder.path / "service.json").read_text())
    service["model_config"]["tables"][0]["name"] = "${SHELF}/items.parquet"
    folder.write("service.json", service)

    for arguments in ((), ("--json",)):
        result = call("check", "bundle", "--config", "service.json", *arguments)

        assert result.exit_code == 1
        assert "***/items.parquet" in result.stdout
        assert "hunter22" not in result.stdout


def test_a_typing_mistake_is_a_remark_and_no_failure(call: Callable[..., Any], folder: Folder) -> None:
    folder.write("service.json", {"model_config": {"fgmode": "normal"}})

    result = call("check", "bundle", "--config", "service.json")

    assert result.exit_code == 0
    assert "! service file: unknown key 'model_config.fgmode': did you mean 'fg_mode'?" in result.stdout


def break_features(folder: Folder) -> None:
    folder.write("bundle/fg.json", {"features": [{**FEATURES[0], "feature_type": "kv_dotproduct"}]})


def break_model(folder: Folder) -> None:
    folder.write("bundle/column_sum.json", {"outputs": {**OUTPUTS, "more": ["income.values"]}})


def break_table(folder: Folder) -> None:
    pq.write_table(pa.table({"id": ["a"]}), folder.path / "items.parquet")


def remove_model(folder: Folder) -> None:
    (folder.bundle / "column_sum.json").unlink()


def remove_features(folder: Folder) -> None:
    (folder.bundle / "fg.json").unlink()


def break_service_file(folder: Folder) -> None:
    (folder.path / "service.json").write_text('{"name": "rank",}')


def ask_for_another_output(folder: Folder) -> None:
    service = json.loads((folder.path / "service.json").read_text())
    service["model_config"]["outputs"] = "probs_ctrr"
    folder.write("service.json", service)


@pytest.mark.parametrize(
    ("mishap", "found"),
    [
        (break_features, "✗ features: .*kv_dotproduct"),
        (break_model, "✗ model: model inputs differ: missing {'income.values'}"),
        (break_table, "✗ items: .* has no key column 'item_id'; columns: id"),
        (remove_model, "✗ bundle: .* has no scripted_model.pt"),
        (remove_features, "✗ features: .* has no fg.json"),
        (break_service_file, "✗ service file: service.json, line 1, column 17: not JSON: a comma before"),
        (ask_for_another_output, "✗ model: outputs: unknown 'probs_ctrr'; the model has 'probs_ctr'"),
    ],
)
def test_what_is_broken_is_found_and_nothing_behind_it_is_tried(
    call: Callable[..., Any], folder: Folder, mishap: Callable[[Folder], None], found: str
) -> None:
    mishap(folder)

    result = call("check", "bundle", "--config", "service.json")

    assert result.exit_code == 1
    *passed, failed = result.stdout.splitlines()
    assert all(line.startswith("✓") for line in passed)
    assert re.match(found, failed), failed


def test_a_column_that_the_table_lacks_is_a_remark_and_strictly_a_failure(
    call: Callable[..., Any], folder: Folder
) -> None:
    pq.write_table(pa.table(ITEMS).drop_columns(["price"]), folder.path / "items.parquet")
    service = json.loads((folder.path / "service.json").read_text())

    lenient = call("check", "bundle", "--config", "service.json")
    folder.write(
        "service.json", {**service, "model_config": {**service["model_config"], "item_columns": "strict"}}
    )
    strict = call("check", "bundle", "--config", "service.json")

    assert lenient.exit_code == 0
    assert "! items: items.parquet lacks columns that features read: price" in lenient.stdout
    assert strict.exit_code == 1
    assert "✗ items: item table 'items.parquet' lacks columns that features read: price" in strict.stdout


def test_a_torchscript_bundle_is_checked_with_its_libraries(call: Callable[..., Any], folder: Folder) -> None:
    remove_model(folder)
    remove_features(folder)

    class Sum(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"probs": x.sum(1)}

    torch.jit.save(torch.jit.script(Sum()), folder.bundle / "scripted_model.pt")

    result = call("check", "bundle")

    assert result.exit_code == 0, result.stdout
    assert "✓ torch and fbgemm: torch 2.13.0" in result.stdout
    assert "✓ model: reads 1 tensors" in result.stdout
