"""From files to files: formats, equal bytes, whole files or none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pcsv
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from recserve.errors import DataError
from recserve.features import config
from recserve.features.generator import Generator
from recserve.features.offline.file_run import Report, run_file

if TYPE_CHECKING:
    from pathlib import Path

FG: dict[str, Any] = {
    "features": [
        {
            "feature_type": "id_feature",
            "feature_name": "id",
            "expression": "item:x",
            "hash_bucket_size": 1000,
        },
        {
            "feature_type": "raw_feature",
            "feature_name": "price",
            "expression": "item:p",
            "default_value": "0",
        },
        {
            "sequence_name": "s",
            "features": [
                {
                    "feature_type": "id_feature",
                    "feature_name": "x",
                    "expression": "item:x",
                    "default_value": "0",
                    "hash_bucket_size": 100,
                    "value_dim": 1,
                }
            ],
        },
    ],
    "reserves": ["row"],
}


def table(rows: int) -> pa.Table:
    """Some rows without ids, some with two, sequences of up to three."""
    numbers = np.arange(rows)
    ids = [None if n % 7 == 0 else f"i{n % 50}\x1di{n % 3}" if n % 5 == 0 else f"i{n % 50}" for n in numbers]
    return pa.table(
        {
            "x": pa.array(ids, pa.string()),
            "unread": pa.array(numbers, pa.duration("s")),
            "p": pa.array(numbers / 4, pa.float32(), mask=numbers % 11 == 0),
            "s__x": [";".join(str(k) for k in range(n % 4)) for n in numbers],
            "row": numbers,
        }
    )


def generator() -> Generator:
    return Generator(config.load(FG), texts=True)


def test_bytes_depend_neither_on_threads_nor_on_how_rows_come(tmp_path: Path) -> None:
    rows = table(70_000)
    pq.write_table(rows, tmp_path / "one_group.parquet")
    pq.write_table(rows, tmp_path / "groups.parquet", row_group_size=9_999)
    written = set()
    for suffix in ("parquet", "arrow"):
        for source, threads, batch_rows in (
            ("one_group", 1, 8192),
            ("groups", 1, 1000),
            ("groups", 3, 777),
            ("one_group", 2, 100_000),
        ):
            target = tmp_path / f"out.{suffix}"
            report = run_file(
                generator(),
                tmp_path / f"{source}.parquet",
                target,
                threads=threads,
                batch_rows=batch_rows,
                force=True,
            )
            assert report == Report(rows=70_000, features=3, rejected=0, missing=(), unparsable={})
            written.add((suffix, target.read_bytes()))

    assert len(written) == 2
    assert pq.read_table(tmp_path / "out.parquet")["row"].to_pylist() == list(range(70_000))


def test_all_kinds_of_files_hold_the_same(tmp_path: Path) -> None:
    rows = table(100)
    pq.write_table(rows, tmp_path / "in.parquet")
    pa.feather.write_feather(rows, tmp_path / "in.feather")
    with pa.ipc.new_file(str(tmp_path / "in.arrow"), rows.schema) as file:
        file.write_table(rows, max_chunksize=7)
    pcsv.write_csv(rows.drop_columns("unread"), tmp_path / "in.csv")
    (tmp_path / "parts").mkdir()
    for k, name in enumerate(["b.parquet", "a.parquet"]):
        pq.write_table(rows.slice(50 * (1 - k), 50), tmp_path / "parts" / name)
    (tmp_path / "parts" / "_SUCCESS").touch()

    results = {}
    for name in ("in.parquet", "in.feather", "in.arrow", "in.csv", "parts"):
        run_file(generator(), tmp_path / name, tmp_path / "out.parquet", force=True)
        results[name] = pq.read_table(tmp_path / "out.parquet")

    first = results.pop("in.parquet")
    # A CSV has texts: also the number of the row.
    csv = results.pop("in.csv")
    assert csv["row"].to_pylist() == [str(row) for row in range(100)]
    assert csv.drop_columns("row").equals(first.drop_columns("row"))
    for name, result in results.items():
        assert result.equals(first), name

    run_file(generator(), tmp_path / "in.parquet", tmp_path / "out.arrow")
    assert pa.ipc.open_file(str(tmp_path / "out.arrow")).read_all().to_pylist() == first.to_pylist()


def test_a_csv_file_holds_lists_as_the_texts_that_features_read(tmp_path: Path) -> None:
    pq.write_table(table(6), tmp_path / "in.parquet")

    run_file(generator(), tmp_path / "in.parquet", tmp_path / "out.csv")

    lines = pcsv.read_csv(tmp_path / "out.csv").to_pylist()
    assert [line["price"] for line in lines] == [0.0, 0.25, 0.5, 0.75, 1.0, 1.25]
    assert [str(line["id"]).count("\x1d") for line in lines] == [0, 0, 0, 0, 0, 1]


def test_no_rows_give_a_file_with_the_columns(tmp_path: Path) -> None:
    pq.write_table(table(0), tmp_path / "in.parquet")
    run_file(generator(), tmp_path / "in.parquet", tmp_path / "out.parquet")
    pq.write_table(table(5), tmp_path / "in.parquet")
    run_file(generator(), tmp_path / "in.parquet", tmp_path / "some.parquet")

    assert pq.read_schema(tmp_path / "out.parquet").equals(pq.read_schema(tmp_path / "some.parquet"))
    assert pq.read_table(tmp_path / "out.parquet").num_rows == 0


def bad_table() -> pa.Table:
    return pa.table({"x": ["a"] * 5, "p": ["1", "2", "zwei", "4", "x"], "s__x": [""] * 5, "row": range(5)})


def test_a_bad_row_names_its_file_and_its_row_there(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name, rows in (("a", bad_table().slice(0, 2)), ("b", bad_table().slice(1))):
        pq.write_table(rows, tmp_path / "in" / f"{name}.parquet")

    for threads in (1, 2):
        with pytest.raises(DataError) as error:
            run_file(generator(), tmp_path / "in", tmp_path / "out.parquet", threads=threads, batch_rows=1)
        assert str(error.value) == (
            f"{tmp_path}/in/b.parquet row 1: feature 'price' reads column 'p': 'zwei' is not a number"
        )
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_rejected_rows_have_a_file_of_their_own(tmp_path: Path) -> None:
    pq.write_table(bad_table(), tmp_path / "in.parquet")

    report = run_file(
        generator(),
        tmp_path / "in.parquet",
        tmp_path / "out.parquet",
        on_error="default",
        rejects=tmp_path / "rejects.csv",
    )

    assert (report.rejected, report.unparsable) == (2, {"price": 2})
    assert pq.read_table(tmp_path / "out.parquet")["price"].to_pylist() == [1.0, 2.0, 0.0, 4.0, 0.0]
    rejected = pcsv.read_csv(tmp_path / "rejects.csv").to_pylist()
    assert [row["row"] for row in rejected] == [2, 4]
    assert rejected[1]["fg_error"] == (
        f"{tmp_path}/in.parquet row 4: feature 'price' reads column 'p': 'x' is not a number"
    )


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_run_that_is_broken_off_leaves_nothing(
    tmp_path: Path, error: type[BaseException], threads: int
) -> None:
    pq.write_table(table(100_000), tmp_path / "in.parquet")

    def stop(done: int, total: int | None) -> None:
        assert total == 100_000
        if done > 50_000:
            raise error

    with pytest.raises(error):
        run_file(
            generator(), tmp_path / "in.parquet", tmp_path / "out.parquet", threads=threads, progress=stop
        )

    assert [path.name for path in tmp_path.iterdir()] == ["in.parquet"]


def test_a_file_that_is_there_stays_unless_it_may_go(tmp_path: Path) -> None:
    pq.write_table(bad_table(), tmp_path / "in.parquet")
    (tmp_path / "out.parquet").write_text("precious")

    with pytest.raises(DataError, match=r"out\.parquet is there already; force \(--force\) replaces it"):
        run_file(generator(), tmp_path / "in.parquet", tmp_path / "out.parquet", on_error="default")
    with pytest.raises(DataError, match="row 2"):
        run_file(generator(), tmp_path / "in.parquet", tmp_path / "out.parquet", force=True)

    assert (tmp_path / "out.parquet").read_text() == "precious"
    run_file(generator(), tmp_path / "in.parquet", tmp_path / "out.parquet", on_error="default", force=True)
    assert pq.read_table(tmp_path / "out.parquet").num_rows == 5


def test_what_cannot_be_read_or_written_is_named(tmp_path: Path) -> None:
    pq.write_table(table(5), tmp_path / "in.parquet")
    (tmp_path / "bad.parquet").write_text("PAR1 no more")
    (tmp_path / "empty").mkdir()
    (tmp_path / "two").mkdir()
    pq.write_table(table(5), tmp_path / "two" / "a.parquet")
    pq.write_table(bad_table(), tmp_path / "two" / "b.parquet")
    cases = {
        ("gone.parquet", "out.parquet"): r"gone\.parquet does not exist",
        ("bad.parquet", "out.parquet"): r"bad\.parquet is not a \.parquet file that can be read",
        (
            "in.json",
            "out.parquet",
        ): r"in\.json cannot be read: known are \.parquet, \.arrow, \.feather, \.csv",
        ("in.parquet", "out.xlsx"): r"out\.xlsx cannot be written: known are \.parquet,",
        ("in.parquet", "gone/out.parquet"): r"gone/out\.parquet cannot be written",
        ("empty", "out.parquet"): r"empty is a directory without \*\.parquet files",
        ("two", "out.parquet"): r"b\.parquet has the columns x string, p string.* write them with one schema",
    }
    for (source, target), message in cases.items():
        with pytest.raises(DataError, match=message):
            run_file(generator(), tmp_path / source, tmp_path / target)


def test_a_map_has_no_place_in_a_csv_file(tmp_path: Path) -> None:
    rows = pa.table({"m": pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int8()))})
    pq.write_table(rows, tmp_path / "in.parquet")

    with pytest.raises(DataError, match=r"column 'm' \(map<string, int8.*\) has no place in a CSV file"):
        run_file(generator(), tmp_path / "in.parquet", tmp_path / "out.csv", columns=["m"])
    assert [path.name for path in tmp_path.iterdir()] == ["in.parquet"]
