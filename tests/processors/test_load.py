from __future__ import annotations

import json
import logging
from collections.abc import Callable
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


Loaded = Callable[..., Any]


@pytest.mark.parametrize(
    ("document", "kind"),
    [(None, Normal), ({"name": "x"}, Bypass), (service_of(), Normal)],
)
def test_the_service_file_or_else_the_bundle_says_what_requests_bring(
    loaded: Loaded, document: dict[str, Any] | None, kind: type
) -> None:
    assert isinstance(loaded(document), kind)


def test_loading_reports_its_steps(bundle: Path) -> None:
    steps: list[tuple[str, int, int]] = []

    def progress(step: str, done: int, total: int, memory_bytes: int = 0) -> None:
        steps.append((step, done, total))

    load(Bundle.open(bundle), service.load(service_of(), {}, base_dir=bundle.parent), progress).close()

    assert steps == [
        ("loading the model", 0, 1),
        ("loading the model", 1, 1),
        ("loading items.parquet", 0, 3),
        ("loading items.parquet", 3, 3),
    ]


def test_a_model_that_reads_other_inputs_than_the_features_give_is_refused(
    tmp_path: Path, loaded: Loaded
) -> None:
    bundle = write_bundle(tmp_path / "other", features=FEATURES[:-1])

    with pytest.raises(
        BundleError, match=r"model inputs differ: missing \{'tags\.lengths', 'tags\.values'\}"
    ):
        loaded(service_of(), bundle)


def test_a_model_that_lacks_an_input_is_refused(bundle: Path, loaded: Loaded) -> None:
    (bundle / "column_sum.json").write_text(json.dumps({"outputs": {"score": SUMS["score"]}}))

    with pytest.raises(BundleError, match=r"sent extra \{'tags\.lengths', 'tags\.values'\}"):
        loaded(service_of(), bundle)


def test_a_feature_of_an_unknown_type_is_refused_by_name(tmp_path: Path, loaded: Loaded) -> None:
    bundle = write_bundle(
        tmp_path / "other", features=[{"feature_type": "kv_dotproduct", "feature_name": "m"}]
    )

    with pytest.raises(ConfigError, match=r"feature 'm'.*kv_dotproduct"):
        loaded(service_of(), bundle)


def test_fg_mode_normal_without_features_is_refused(bundle: Path, loaded: Loaded) -> None:
    (bundle / "fg.json").unlink()

    with pytest.raises(BundleError, match=r"no fg\.json"):
        loaded(service_of(), bundle)


def test_an_unknown_output_is_refused(bundle: Path, loaded: Loaded) -> None:
    with pytest.raises(ConfigError, match="unknown 'probs'"):
        loaded(service_of(outputs="probs"), bundle)


def test_outputs_are_restricted_to_the_configured_ones(bundle: Path, loaded: Loaded) -> None:
    rank = loaded(service_of(outputs="tags"), bundle)

    assert list(rank.score(rank.sample(1)).outputs) == ["tags"]


def warnings(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """What was warned of; another test may have asked for more than that to be logged."""
    return [record for record in caplog.records if record.levelno == logging.WARNING]


def test_missing_item_columns_are_listed_or_refused(
    bundle: Path, loaded: Loaded, caplog: pytest.LogCaptureFixture
) -> None:
    pq.write_table(ITEMS.drop_columns(["tags", "cat"]), bundle.parent / "items.parquet")

    rank = loaded(service_of(), bundle)
    assert rank.items.figures().rows == 3
    assert [vars(record)["columns"] for record in warnings(caplog)] == ["cat, tags"]

    with pytest.raises(ConfigError, match=r"lacks columns that features read: cat, tags; add them"):
        loaded(service_of(item_columns="strict"), bundle)


def test_columns_that_the_service_file_does_not_name_are_not_loaded(bundle: Path, loaded: Loaded) -> None:
    table = {"name": "items.parquet", "key": "item_id", "value": "price,tags"}

    with pytest.raises(ConfigError, match="cat"):
        loaded(service_of(tables=[table], item_columns="strict"), bundle)


@pytest.mark.parametrize(
    ("tables", "error"),
    [
        ([{"name": "items.parquet", "key": "id"}], "no key column 'id'"),
        ([{"name": "nowhere.parquet", "key": "id"}], "does not exist"),
        ([{"name": "items.parquet", "key": "item_id", "value": "colour"}], "no column 'colour'"),
        ([{"name": "items.parquet", "key": "item_id"}] * 2, "listed twice"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(
    bundle: Path, loaded: Loaded, tables: list[Any], error: str
) -> None:
    with pytest.raises(LoadError, match=error):
        loaded(service_of(tables=tables), bundle)


def test_integer_keys_are_keys(bundle: Path, loaded: Loaded) -> None:
    keyed = ITEMS.set_column(0, "item_id", pa.array([7, 8, 9]))
    pq.write_table(keyed, bundle.parent / "items.parquet")

    rank = loaded(service_of(), bundle)

    assert rank.items.layout.key == "int64"


def test_repeated_keys_are_told(bundle: Path, loaded: Loaded, caplog: pytest.LogCaptureFixture) -> None:
    pq.write_table(pa.concat_tables([ITEMS, ITEMS]), bundle.parent / "items.parquet")

    loaded(service_of(), bundle)

    assert [vars(record)["repeated"] for record in warnings(caplog)] == [3]


def test_null_keys_are_refused(bundle: Path, loaded: Loaded) -> None:
    pq.write_table(
        ITEMS.set_column(0, "item_id", pa.array(["i1", None, "i3"])), bundle.parent / "items.parquet"
    )

    with pytest.raises(DataError, match="null"):
        loaded(service_of(), bundle)
