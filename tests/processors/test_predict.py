"""Offline scores: shapes of outputs, and names that collide."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from recserve.bundle import Bundle
from recserve.config.service import ServiceSpec, load
from recserve.errors import DataError
from recserve.processors.load import load_engine, load_features
from recserve.processors.predict import predict_file

if TYPE_CHECKING:
    from pathlib import Path


class TwoOutputs(torch.nn.Module):
    """A number and a vector per row, as exports are called."""

    def forward(self, data: dict[str, torch.Tensor], device: torch.device) -> dict[str, torch.Tensor]:
        age = data["age.values"].to(device)
        return {"probs": age.squeeze(1) / 100, "logits": torch.cat([age, -age], 1)}


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    features = [{"feature_type": "raw_feature", "feature_name": "age", "expression": "user:age"}]
    (tmp_path / "fg.json").write_text(json.dumps({"features": features}))
    torch.jit.save(torch.jit.script(TwoOutputs()), tmp_path / "scripted_model.pt")
    pq.write_table(pa.table({"age": [20.0, 30.0, None], "probs": [1, 2, 3]}), tmp_path / "rows.parquet")
    return Bundle.open(tmp_path)


def predict(bundle: Bundle, spec: ServiceSpec, **options: object) -> pa.Table:
    features = load_features(bundle, spec)
    engine = load_engine(bundle, spec, features)
    source, target = bundle.path / "rows.parquet", bundle.path / "scores.parquet"
    predict_file(features, engine, source, target, batch_rows=2, **options)  # type: ignore[arg-type]
    return pq.read_table(target)


def test_an_output_of_several_values_per_row_becomes_a_list(bundle: Bundle) -> None:
    scores = predict(bundle, load(None, {})).to_pydict()

    assert scores["probs"] == pytest.approx([0.2, 0.3, 0.0])
    assert scores["logits"] == [[20.0, -20.0], [30.0, -30.0], [0.0, 0.0]]


def test_progress_counts_rows(bundle: Bundle) -> None:
    seen: list[tuple[int, int]] = []

    predict(bundle, load(None, {}), progress=lambda done, total: seen.append((done, total)))

    assert seen == [(2, 3), (3, 3)]


def test_a_kept_column_with_the_name_of_an_output_is_refused(bundle: Bundle) -> None:
    with pytest.raises(DataError, match=r"\['probs'\] are columns to keep and outputs of the model"):
        predict(bundle, load(None, {}), keep=["probs"])

    assert predict(bundle, load({"model_config": {"outputs": "logits"}}, {}), keep=["probs"]).num_rows == 3
