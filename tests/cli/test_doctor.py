"""`recserve doctor` says what this machine can run of a bundle, and goes on after a failure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import torch
from tests.cli.conftest import FEATURES

from recserve.cli import machine

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Folder


def names(result: Any) -> list[str]:
    return [line.partition(":")[0] for line in result.stdout.splitlines()]


def test_a_bundle_that_runs_here_passes_every_check(call: Callable[..., Any]) -> None:
    result = call("doctor", "bundle", "--config", "service.json")

    assert result.exit_code == 0, result.stdout
    assert [name[2:] for name in names(result)] == [
        *("python", "native core", "service file", "processors", "allocator", "bundle", "memory"),
        *("features", "assets", "model", "item table"),
    ]
    assert "✓ features: 5 of 3 types: id_feature, lookup_feature, raw_feature" in result.stdout


def test_the_machine_is_looked_at_alone(call: Callable[..., Any]) -> None:
    result = call("doctor", "--json")

    report = json.loads(result.stdout)
    assert result.exit_code == 0
    assert [finding["check"] for finding in report["findings"]][:2] == ["python", "native core"]


def test_every_failure_is_told_and_says_what_mends_it(call: Callable[..., Any], folder: Folder) -> None:
    broken = [
        {**FEATURES[0], "feature_type": "raw"},
        {**FEATURES[1], "hash_bucket_size": None, "vocab_file": "words.txt"},
        *FEATURES[2:],
    ]
    folder.write("bundle/fg.json", {"features": broken})
    folder.write("service.json", {"model_config": {"fg_mode": "normal"}})

    result = call("doctor", "bundle", "--config", "service.json")

    assert result.exit_code == 1
    failed = [line for line in result.stdout.splitlines() if line.startswith("✗")]
    assert len(failed) == 2
    assert "did you mean 'raw_feature'?" in failed[0]
    assert "vocab_file 'words.txt': there is no such file" in failed[1]
    assert "! features: for more: recserve features check bundle/fg.json" in result.stdout


def test_a_bundle_that_is_none_leaves_the_machine(call: Callable[..., Any]) -> None:
    result = call("doctor", "nowhere")

    assert result.exit_code == 1
    assert names(result)[-1] == "✗ bundle"
    assert "✓ native core" in names(result)


def test_files_that_features_read_are_named(call: Callable[..., Any], folder: Folder) -> None:
    words = {**FEATURES[1], "hash_bucket_size": None, "vocab_file": "words.txt"}
    folder.write("bundle/fg.json", {"features": [FEATURES[0], words, *FEATURES[2:]]})
    (folder.bundle / "words.txt").write_text("a\nb\n")

    result = call("doctor", "bundle", "--config", "service.json")

    assert result.exit_code == 0, result.stdout
    assert "✓ assets: words.txt" in result.stdout


def test_a_torchscript_bundle_needs_its_libraries_and_its_device(
    call: Callable[..., Any], folder: Folder
) -> None:
    class Sum(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"probs": x.sum(1)}

    for name in ("column_sum.json", "fg.json"):
        (folder.bundle / name).unlink()
    torch.jit.save(torch.jit.script(Sum()), folder.bundle / "scripted_model.pt")
    folder.write("service.json", {"model_config": {"device": "nothing:0"}})

    on_cpu = call("doctor", "bundle")
    elsewhere = call("doctor", "bundle", "--config", "service.json")

    assert on_cpu.exit_code == 0, on_cpu.stdout
    assert names(on_cpu)[-3:] == ["✓ torch and fbgemm", "✓ device", "✓ model"]
    assert elsewhere.exit_code == 1
    assert "✗ device: device 'nothing:0' is unknown; use cpu or cuda:0" in elsewhere.stdout


def test_the_machine_has_memory() -> None:
    assert machine.available_bytes() > 0
