from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.processors.conftest import FEATURES, ITEMS, SUMS, service_of, write_bundle

from recserve.bundle import Bundle
from recserve.config import service
from recserve.errors import BundleError, ConfigError, DataError, LoadError
from recserve.processors.bypass import Bypass
from recserve.processors.load import load
from recserve.processors.normal import Normal

if TYPE_CHECKING:
    from pathlib import Path


def loaded(bundle: Path, document: dict[str, Any] | None) -> Normal | Bypass:
    return load(Bundle.open(bundle), service.load(document, {}, base_dir=bundle.parent))


@pytest.mark.parametrize(
    ("document", "kind"),
    [(None, Normal), ({"name": "x"}, Bypass), (service_of(), Normal)],
)
def test_the_service_file_or_else_the_bundle_says_what_requests_bring(
    bundle: Path, document: dict[str, Any] | None, kind: type
) -> None:
    assert isinstance(loaded(bundle, document), kind)


def test_loading_reports_its_steps(bundle: Path) -> None:
    steps: list[tuple[str, int, int]] = []

    def progress(step: str, done: int, total: int, memory_bytes: int = 0) -> None:
        steps.append((step, done, total))

    load(Bundle.open(bundle), service.load(service_of(), {}, base_dir=bundle.parent), progress)

    assert steps == [
        ("loading the model", 0, 1),
        ("loading the model", 1, 1),
        ("loading items.parquet", 0, 3),
        ("loading items.parquet", 3, 3),
    ]


def test_a_model_that_reads_other_inputs_than_the_features_give_is_refused(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path, features=FEATURES[:-1])

    with pytest.raises(
        BundleError, match=r"model inputs differ: missing \{'tags\.lengths', 'tags\.values'\}"
    ):
        loaded(bundle, service_of())


def test_a_model_that_lacks_an_input_is_refused(bundle: Path) -> None:
    (bundle / "column_sum.json").write_text(json.dumps({"outputs": {"score": SUMS["score"]}}))

    with pytest.raises(BundleError, match=r"sent extra \{'tags\.lengths', 'tags\.values'\}"):
        loaded(bundle, service_of())


def test_a_feature_of_an_unknown_type_is_refused_by_name(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path, features=[{"feature_type": "kv_dotproduct", "feature_name": "m"}])

    with pytest.raises(ConfigError, match=r"feature 'm'.*kv_dotproduct"):
        loaded(bundle, service_of())


def test_fg_mode_normal_without_features_is_refused(bundle: Path) -> None:
    (bundle / "fg.json").unlink()

    with pytest.raises(BundleError, match=r"no fg\.json"):
        loaded(bundle, service_of())


def test_an_unknown_output_is_refused(bundle: Path) -> None:
    with pytest.raises(ConfigError, match="unknown 'probs'"):
        loaded(bundle, service_of(outputs="probs"))


def test_outputs_are_restricted_to_the_configured_ones(bundle: Path) -> None:
    rank = loaded(bundle, service_of(outputs="tags"))

    assert isinstance(rank, Normal)
    assert list(rank.score(rank.sample(1)).outputs) == ["tags"]


def test_missing_item_columns_are_listed_or_refused(bundle: Path, caplog: pytest.LogCaptureFixture) -> None:
    pq.write_table(ITEMS.drop_columns(["tags", "cat"]), bundle.parent / "items.parquet")

    rank = loaded(bundle, service_of())
    assert isinstance(rank, Normal)
    assert len(rank.items) == 3
    assert [vars(record)["columns"] for record in caplog.records] == ["cat, tags"]

    with pytest.raises(ConfigError, match=r"lacks columns that features read: cat, tags; add them"):
        loaded(bundle, service_of(item_columns="strict"))


def test_columns_that_the_service_file_does_not_name_are_not_loaded(bundle: Path) -> None:
    table = {"name": "items.parquet", "key": "item_id", "value": "price,tags"}

    with pytest.raises(ConfigError, match="cat"):
        loaded(bundle, service_of(tables=[table], item_columns="strict"))


@pytest.mark.parametrize(
    ("tables", "error"),
    [
        ([{"name": "items.parquet", "key": "id"}], "no key column 'id'"),
        ([{"name": "nowhere.parquet", "key": "id"}], "does not exist"),
        ([{"name": "items.parquet", "key": "item_id", "value": "colour"}], "no column 'colour'"),
        ([{"name": "items.parquet", "key": "item_id"}] * 2, "listed twice"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(bundle: Path, tables: list[Any], error: str) -> None:
    with pytest.raises(LoadError, match=error):
        loaded(bundle, service_of(tables=tables))


def test_integer_keys_are_keys(bundle: Path) -> None:
    keyed = ITEMS.set_column(0, "item_id", pa.array([7, 8, 9]))
    pq.write_table(keyed, bundle.parent / "items.parquet")

    rank = loaded(bundle, service_of())

    assert isinstance(rank, Normal)
    assert rank.items.key == "int64"


def test_repeated_keys_are_told(bundle: Path, caplog: pytest.LogCaptureFixture) -> None:
    pq.write_table(pa.concat_tables([ITEMS, ITEMS]), bundle.parent / "items.parquet")

    loaded(bundle, service_of())

    assert [vars(record)["repeated"] for record in caplog.records] == [3]


def test_null_keys_are_refused(bundle: Path) -> None:
    pq.write_table(
        ITEMS.set_column(0, "item_id", pa.array(["i1", None, "i3"])), bundle.parent / "items.parquet"
    )

    with pytest.raises(DataError, match="null"):
        loaded(bundle, service_of())
