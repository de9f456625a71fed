from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recserve.client.capture_table import write_table
from recserve.client.request import build_request
from recserve.errors import DataError
from recserve.messages import InputSchema, TensorRequest
from recserve.wire import log_data, tensors
from recserve.wire.torchrec import encode_request

if TYPE_CHECKING:
    from pathlib import Path


def keep(folder: Path, name: str, *, raw: dict[str, str] | None = None, **request: Any) -> Path:
    file = folder / f"{name}_0a1b.pb"
    body = encode_request(build_request(**request))
    file.write_bytes(body if raw is None else log_data.encode(body, raw, raw))
    return file


def table(folder: Path, *files: Path, **options: Any) -> pa.Table:
    write_table(files, folder / "table.parquet", **options)
    return pq.read_table(folder / "table.parquet")


def test_a_row_is_an_item_with_all_that_was_sent_and_known_of_it(tmp_path: Path) -> None:
    one = keep(
        tmp_path,
        "r1",
        raw={"i1": "price:1.5", "i2": "price:2"},
        user={"age": 33, "clicks": ["a", "b"]},
        item_ids=["i1", "i2"],
        context={"hour": [1.5, 2.5]},
        item_features={"price": [9]},
    )

    found = table(tmp_path, one)

    rows = found.to_pylist()
    assert [row.pop("time") for row in rows] == [rows[0].get("time", found["time"][0].as_py())] * 2
    assert rows == [
        {
            "request_id": "r1",
            "item_id": item,
            "position": place,
            "raw_features": f"price:{price}",
            "generate_features": f"price:{price}",
            "age": 33,
            "clicks": ["a", "b"],
            "hour": place + 1.5,
            "price": 9,
        }
        for place, (item, price) in enumerate((("i1", "1.5"), ("i2", "2")))
    ]
    assert found.schema.field("time").type == pa.timestamp("ms", "UTC")


def test_requests_with_different_columns_and_types_fit_into_one_table(tmp_path: Path) -> None:
    files = [
        keep(tmp_path, "a", user={"n": 1, "x": 1, "m": {"a": 1.5}}, item_ids=["i"]),
        keep(tmp_path, "b", user={"n": 2.5, "x": "text", "m": [1, 2]}, item_ids=["i"]),
        keep(tmp_path, "c", user={"new": 7}, item_ids=["i"]),
    ]

    found = table(tmp_path, *files)

    assert found["n"].to_pylist() == [1.0, 2.5, None]
    assert found["x"].to_pylist() == ["1", "text", None]
    assert found["m"].to_pylist() == ['{"a": 1.5}', "[1, 2]", None]
    assert found["new"].to_pylist() == [None, None, 7]


def test_a_name_of_several_sides_has_its_side_before_it(tmp_path: Path) -> None:
    file = keep(tmp_path, "a", user={"city": "u"}, item_ids=["i"], context={"city": ["c"], "position": [4]})

    found = table(tmp_path, file)

    assert found["user:city"].to_pylist() == ["u"]
    assert found["context:city"].to_pylist() == ["c"]
    assert found["context:position"].to_pylist() == [4]
    assert found["request:position"].to_pylist() == [0]


def test_the_schema_of_a_bundle_types_columns(tmp_path: Path) -> None:
    file = keep(tmp_path, "a", user={"age": "33"}, item_ids=["i"])

    found = table(tmp_path, file, schema=InputSchema(user={"age": "int64"}))

    assert found["age"].to_pylist() == [33]


def test_a_request_without_ids_has_rows_without_ids(tmp_path: Path) -> None:
    found = table(tmp_path, keep(tmp_path, "a", user={"age": 1}, context={"hour": [1, 2]}))

    assert found["item_id"].to_pylist() == [None, None]
    assert found["age"].to_pylist() == [1, 1]


def test_what_cannot_be_read_is_left_out_and_named(tmp_path: Path) -> None:
    good = keep(tmp_path, "a", item_ids=["i1", "i2"])
    broken = tmp_path / "b.pb"
    broken.write_bytes(b"\x0a\x05a")
    other = tmp_path / "c.pb"
    other.write_bytes(tensors.encode_request(TensorRequest([np.ones(3, np.float32)], {})))
    steps: list[str] = []

    rows, problems = write_table(
        [good, broken, other], tmp_path / "t.parquet", progress=lambda step, done, total: steps.append(step)
    )

    assert rows == 2
    assert problems.keys() == {str(broken), str(other)}
    assert "holds tensors" in problems[str(other)]
    assert set(steps) == {"reading", "writing"}


def test_nothing_to_write_or_nowhere_to_write_it_is_told(tmp_path: Path) -> None:
    broken = tmp_path / "b.pb"
    broken.write_bytes(b"\x0a\x05a")
    with pytest.raises(DataError, match="no request could be read"):
        write_table([broken], tmp_path / "t.parquet")
    with pytest.raises(DataError, match="cannot write"):
        write_table([keep(tmp_path, "a", item_ids=["i"])], tmp_path / "missing" / "t.parquet")
