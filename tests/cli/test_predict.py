"""`recserve predict` scores joined rows into a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.cli.conftest import JOINED

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Folder


@pytest.mark.parametrize("batch_size", ["1", "2", "4096"])
def test_rows_are_scored_in_order_whatever_the_batch(
    call: Callable[..., Any], folder: Folder, batch_size: str
) -> None:
    result = call(
        "predict", "bundle", "joined.parquet", "out.parquet", "--keep", "item_id", "--batch-size", batch_size
    )

    assert result.exit_code == 0, result.stderr
    assert "3 rows scored into out.parquet" in result.stderr
    scored = pq.read_table(folder.path / "out.parquet").to_pydict()
    assert list(scored) == ["item_id", "probs_ctr", "probs_cvr"]
    assert scored["item_id"] == JOINED["item_id"]
    assert scored["probs_ctr"] == [30 + 3.5 + 1 + 0.5, 30 + 1.0 + 2 + 0.5, 30 + 2.0 + 3 + 0.25]


def test_only_the_configured_outputs_are_written(call: Callable[..., Any], folder: Folder) -> None:
    folder.write("outputs.json", {"model_config": {"outputs": "probs_cvr"}})

    call("predict", "bundle", "joined.parquet", "out.parquet", "--config", "outputs.json")

    assert pq.read_schema(folder.path / "out.parquet").names == ["probs_cvr"]


def test_input_tile_gives_the_same_scores(call: Callable[..., Any], folder: Folder) -> None:
    tables = []
    for tile in ("0", "2", "3"):
        result = call("predict", "bundle", "joined.parquet", "out.parquet", "--input-tile", tile)
        assert result.exit_code == 0, result.stderr
        tables.append(pq.read_table(folder.path / "out.parquet"))

    assert tables[0].equals(tables[1])
    assert tables[0].equals(tables[2])


def empty(folder: Folder) -> None:
    pq.write_table(pa.table(JOINED).slice(0, 0), folder.path / "joined.parquet")


def garble(folder: Folder) -> None:
    (folder.path / "joined.parquet").write_bytes(b"PAR1 no more")


def remove(folder: Folder) -> None:
    (folder.path / "joined.parquet").unlink()


@pytest.mark.parametrize(
    ("mishap", "arguments", "message"),
    [
        (remove, [], "cannot score joined.parquet into out.parquet: "),
        (garble, [], "cannot score joined.parquet into out.parquet: "),
        (empty, [], "joined.parquet has no rows; there is nothing to score"),
        (lambda _: None, ["--keep", "user"], "joined.parquet has no column ['user']; it has item_id, age"),
    ],
)
def test_what_cannot_be_scored_is_one_line_and_leaves_no_file(
    call: Callable[..., Any],
    folder: Folder,
    mishap: Callable[[Folder], None],
    arguments: list[str],
    message: str,
) -> None:
    mishap(folder)

    result = call("predict", "bundle", "joined.parquet", "out.parquet", *arguments)

    assert result.exit_code == 1
    assert f"recserve: {message}" in result.stderr
    assert not list(folder.path.glob("*out.parquet*"))
