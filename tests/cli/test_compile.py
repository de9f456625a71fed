"""`recserve compile`: what it prints, where it writes, and how it fails."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.engines import models
from typer.testing import CliRunner

from recserve.bundle import Bundle
from recserve.cli.app import app
from recserve.cli.compile import NOT_ALL, _drawn
from recserve.engines.compiled import Compiled, Speed, Variant
from recserve.engines.engine import tensors
from recserve.messages import TensorRequest
from recserve.wire.tensors import encode_request

if TYPE_CHECKING:
    from pathlib import Path


def test_recorded_requests_stand_in_for_features_and_the_bundle_may_be_read_only(tmp_path: Path) -> None:
    bundle = models.write_rank(tmp_path / "rank")
    samples = tmp_path / "samples"
    samples.mkdir()
    for rows in (1, 5):
        request = TensorRequest([], tensors(models.rank_inputs(rows)))
        (samples / f"{rows}.pb").write_bytes(encode_request(request))
    written = ["--samples", str(samples), "--output", str(tmp_path / "out")]

    result = CliRunner().invoke(app, ["compile", str(bundle), *written, "--json"])

    assert result.exit_code == NOT_ALL, result.output
    printed = json.loads(result.stdout)
    made = Compiled.read(next((tmp_path / "out" / "compiled").iterdir()))
    assert printed["folder"] == str(made.folder)
    assert [row["rows"] for row in printed["speed"]] == [1, 5]
    assert (printed["graph"], printed["engine"]) == ("flat", "torchscript")
    assert printed["not_understood"] == "no fg.json says which features are the user's"
    assert made.parity["requests"] == 2
    assert made.why_not(Bundle.open(bundle)) == ""
    assert {path.name for path in bundle.iterdir()} == {"scripted_model.pt", "model_acc.json"}


def test_times_are_drawn_to_one_scale_for_each_size() -> None:
    variants = [
        Variant("rates", "torchscript", (Speed(1, 2.0, 1.0), Speed(200, 8.0, 2.0))),
        Variant("flat", "aotinductor", (Speed(1, 2.0, 3.0), Speed(200, 8.0, 6.0))),
    ]

    assert _drawn(variants).splitlines() == [
        "1 rows",
        f"  original            {27 * '█'} 2.00 ms",
        f"  rates, torchscript  {13 * '█'} 1.00 ms",
        f"  flat, aotinductor   {40 * '█'} 3.00 ms",
        "200 rows",
        f"  original            {40 * '█'} 8.00 ms",
        f"  rates, torchscript  {10 * '█'} 2.00 ms",
        f"  flat, aotinductor   {30 * '█'} 6.00 ms",
    ]


def test_what_fails_is_one_line_and_exit_code_1(tmp_path: Path) -> None:
    bundle = models.write_rank(tmp_path / "rank")

    result = CliRunner().invoke(app, ["compile", str(bundle)])

    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].startswith("recserve: the bundle has no fg.json")


def test_a_recorded_file_that_is_no_request_is_named(tmp_path: Path) -> None:
    bundle = models.write_rank(tmp_path / "rank")
    (tmp_path / "broken.pb").write_bytes(b"\xff\xff")

    result = CliRunner().invoke(app, ["compile", str(bundle), "--samples", str(tmp_path)])

    assert result.exit_code == 1
    assert "broken.pb: " in result.stderr
