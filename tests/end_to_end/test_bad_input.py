"""Bad requests are told what is wrong with them and the next request is right; bad bundles never start."""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import urllib3
from tests.end_to_end.echo import FEATURES, ITEMS, Echo, service, write_bundle
from tests.engines.models import Nested, write
from tests.processors.conftest import write_bundle as write_sums

from recserve.messages import TensorRequest
from recserve.testing import serve
from recserve.wire import tensors
from recserve.wire.descriptors import message_class

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from recserve.testing import RunningServer

PBRequest = message_class("com.alibaba.pairec.processor.PBRequest")
PBResponse = message_class("com.alibaba.pairec.processor.PBResponse")
LIMIT = 200_000  # bytes of a body


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("echo")
    bundle = write_bundle(folder)
    with serve(bundle, service(folder, rpc={"max_body_bytes": LIMIT})) as running:
        yield running


def post(server: RunningServer, body: bytes) -> urllib3.BaseHTTPResponse:
    return urllib3.request(
        "POST", server.url, body=body, headers={"Authorization": server.token}, retries=False, timeout=30
    )


# --- requests ---


def request(hours: int = 3, **context: int) -> Any:
    """Three items, with `hours` entries of the context column `hour`."""
    message = PBRequest(item_ids=["item_0001", "item_0002", "item_0003"])
    for hour in range(hours):
        message.context_features["hour"].features.add().int_feature = hour
    return message


GOOD: bytes = request().SerializeToString()
ZEROS = bytes(40_000_000)  # every codec but snappy packs it below the limit


def with_item_column(entries: int) -> bytes:
    message = request()
    for _ in range(entries):
        message.item_features["price"].features.add().float_feature = 1
    return bytes(message.SerializeToString())


def not_utf8(good: str) -> bytes:
    """The good request with one byte of a text spoilt."""
    message = request()
    message.user_features["user_id"].string_feature = "u001"
    body = bytes(message.SerializeToString())
    assert body.count(good.encode()) == 1
    return body.replace(good.encode(), b"\xff" + good.encode()[1:])


BAD_REQUESTS: dict[str, tuple[bytes, int, str]] = {
    "garbage": (b"garbage", 400, "failed to parse request"),
    "cut off": (GOOD[:-1], 400, "failed to parse request"),
    "more than there is": (GOOD + b"\x1a\x7f", 400, "failed to parse request"),
    "an id that is not UTF-8": (not_utf8("item_0002"), 400, "UTF-8"),
    "a value that is not UTF-8": (not_utf8("u001"), 400, "UTF-8"),
    "a name that is not UTF-8": (not_utf8("user_id"), 400, "UTF-8"),
    "too few context rows": (request(hours=2).SerializeToString(), 400, "'hour' .*2.*3"),
    "too few item rows": (with_item_column(2), 400, "'price' .*2.*3"),
    "too large": (bytes(LIMIT + 1), 413, "max_body_bytes"),
    "a gzip bomb": (gzip.compress(ZEROS), 413, "max_body_bytes"),
    "a zstd bomb": (pa.Codec("zstd").compress(ZEROS, asbytes=True), 413, "max_body_bytes"),
    "an LZ4 bomb": (pa.Codec("lz4").compress(ZEROS, asbytes=True), 413, "max_body_bytes"),
    "a damaged gzip": (gzip.compress(GOOD)[:-9], 400, "gzip"),
}


@pytest.mark.parametrize("name", BAD_REQUESTS)
def test_a_bad_request_is_told_what_is_wrong_and_the_next_one_is_right(
    server: RunningServer, name: str
) -> None:
    body, status, said = BAD_REQUESTS[name]
    assert "bomb" not in name or len(body) < LIMIT

    refused = post(server, body)
    answered = post(server, GOOD)

    assert refused.status == status, refused.data
    assert re.search(said, refused.data.decode()), refused.data
    assert refused.headers["content-type"] == "text/plain; charset=utf-8"
    assert answered.status == 200
    assert list(PBResponse.FromString(answered.data).map_outputs["hour"].float_val) == [0, 1, 2]


def test_a_snappy_bomb_is_refused_by_the_size_that_it_declares(server: RunningServer) -> None:
    body = pa.Codec("snappy").compress(ZEROS[: 10 * LIMIT], asbytes=True)  # it packs at most 21 to 1
    assert len(body) < LIMIT

    assert post(server, body).status == 413
    assert post(server, GOOD).status == 200


# --- tensors ---


def tensors_of(**arrays: Any) -> bytes:
    return tensors.encode_request(TensorRequest((), {name: np.array(a) for name, a in arrays.items()}))


def test_tensors_of_wrong_shapes_are_400_a_model_that_throws_is_500_and_the_next_request_right(
    tmp_path: Path,
) -> None:
    good = {"age.values": np.ones((2, 1), np.float32), "height.values": np.ones((2, 1), np.float32)}
    fails = {"age.values": np.ones((2, 2), np.float32), "height.values": np.ones((2, 3), np.float32)}
    flat = {**good, "height.values": np.ones(2, np.float32)}
    longer = {**good, "height.values": np.ones((3, 1), np.float32)}
    bypass = service(tmp_path, fg_mode="bypass", remote_type=None, tables=None)

    with serve(write(tmp_path / "bundle", Nested()), bypass) as server:
        for body, status, said in (
            (tensors_of(**fails), 500, "failed"),
            (tensors_of(**flat), 400, "height.values"),
            (tensors_of(**longer), 400, "'age' has 2 rows, but 'height' has 3"),
            (tensors_of(**{"age.values": good["age.values"]}), 400, "height.values"),
            (tensors_of(**good, width=[1.0]), 400, "width"),
            (b"garbage", 400, "failed to parse request"),
        ):
            refused = post(server, body)
            answered = post(server, tensors_of(**good))
            assert refused.status == status, refused.data
            assert said in refused.data.decode()
            assert answered.status == 200
            assert tensors.decode_response(answered.data).named_outputs["sum"].tolist() == [2, 2]


# --- bundles and service files ---


def write_json(path: Path, **changes: Any) -> None:
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, **changes}))


def remove_features(folder: Path) -> None:
    (folder / "bundle/fg.json").unlink()


def misspell_a_type(folder: Path) -> None:
    write_json(folder / "bundle/fg.json", features=[{**FEATURES[0], "feature_type": "id_faeture"}])


def spoil_json(folder: Path) -> None:
    (folder / "bundle/fg.json").write_text('{"features": [}')


def remove_table(folder: Path) -> None:
    (folder / "items.parquet").unlink()


def rename_key(folder: Path) -> None:
    pq.write_table(ITEMS.rename_columns(["id", *ITEMS.column_names[1:]]), folder / "items.parquet")


def spoil_table(folder: Path) -> None:
    (folder / "items.parquet").write_bytes(b"PAR1 and nothing else")


def ask_for_an_unknown_output(folder: Path) -> None:
    service(folder, outputs="score,ctr")


def remove_model(folder: Path) -> None:
    (folder / "bundle/column_sum.json").unlink()


def read_another_input(folder: Path) -> None:
    (folder / "bundle/column_sum.json").unlink()
    write(folder / "bundle", Echo(), traced=True)


def spoil_model(folder: Path) -> None:
    (folder / "bundle/column_sum.json").unlink()
    (folder / "bundle/scripted_model.pt").write_bytes(b"no model")


@pytest.mark.parametrize(
    ("mishap", "said"),
    [
        (
            remove_features,
            "bundle '.*bundle' has no fg.json; export it with its features, or set fg_mode bypass",
        ),
        (misspell_a_type, "feature 'user_id': .*'id_faeture'.*; known: id_feature, raw_feature, "),
        (spoil_json, r"fg\.json, line 1, column 15: .*remove the comma"),
        (remove_table, r"items\.parquet does not exist; paths are relative to the service file"),
        (rename_key, "has no key column 'item_id'; columns: id, category, price, tags"),
        (spoil_table, r"items\.parquet is not a Parquet file that can be read: .*; write it again"),
        (ask_for_an_unknown_output, "outputs: unknown 'ctr'; the model has 'score', 'tags'"),
        (
            remove_model,
            "bundle '.*bundle' has no scripted_model.pt; give the directory that the export wrote",
        ),
        (
            read_another_input,
            r"model inputs differ: .*missing \{.*'age.values'.*; use the fg.json that was exported",
        ),
        (spoil_model, r"scripted_model\.pt is not a TorchScript model that loads; export or copy it again"),
    ],
)
def test_what_cannot_be_served_fails_at_check_and_at_start_with_one_line_that_says_how_to_mend_it(
    tmp_path: Path, mishap: Callable[[Path], None], said: str
) -> None:
    write_sums(tmp_path)
    service(tmp_path)
    mishap(tmp_path)

    checked = recserve("check", "bundle", "--config", "service.json", cwd=tmp_path)
    served = recserve("serve", "bundle", "--config", "service.json", "--port", "0", cwd=tmp_path)

    *passed, failed = checked.stdout.splitlines()
    assert checked.returncode == served.returncode == 1
    assert all(line.startswith("✓") for line in passed), passed
    assert re.search(f"^✗ .*{said}", failed), failed
    assert checked.stderr == served.stdout == ""
    *log, last = served.stderr.splitlines()
    assert re.search(f"^recserve: .*{said}", last), last
    assert {json.loads(line)["level"] for line in log} <= {"info"}, log


def recserve(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "recserve", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(str(Path(p).absolute()) for p in sys.path)},
    )
