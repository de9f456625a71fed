"""A bundle is a directory that can be served; anything else is refused with the way out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from recserve.bundle import Bundle
from recserve.errors import BundleError

if TYPE_CHECKING:
    from pathlib import Path


def write(folder: Path, *files: str, **documents: object) -> Path:
    """Write a model file, other empty files, and JSON documents by stem."""
    touch(folder, "scripted_model.pt", *files)
    for stem, document in documents.items():
        (folder / f"{stem}.json").write_text(json.dumps(document))
    return folder


def touch(folder: Path, *files: str) -> None:
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_a_bundle_tells_its_files(tmp_path: Path) -> None:
    documents = {"fg": {"features": []}, "input_schema": {}, "model_acc": {"INPUT_TILE": "3"}}
    write(tmp_path, "pipeline.config", **documents)

    bundle = Bundle.open(str(tmp_path))

    assert bundle == Bundle(
        tmp_path,
        tmp_path / "scripted_model.pt",
        "torchscript",
        tmp_path / "fg.json",
        tmp_path / "input_schema.json",
        tmp_path / "pipeline.config",
        {"INPUT_TILE": "3"},
    )
    assert bundle.fg() == {"features": []}


def test_only_the_model_is_required(tmp_path: Path) -> None:
    bundle = Bundle.open(write(tmp_path))

    assert (bundle.fg_path, bundle.schema_path, bundle.pipeline_path, bundle.model_acc) == (
        None,
        None,
        None,
        {},
    )
    with pytest.raises(BundleError, match=r"has no fg.json; export it .*, or set fg_mode bypass"):
        bundle.fg()


@pytest.mark.parametrize(
    ("written", "fallback", "expected"),
    [
        ({}, "", 0),
        ({}, "2", 2),
        ({"INPUT_TILE": "3"}, "", 3),
        ({"INPUT_TILE": "3"}, "2", 3),
        ({"INPUT_TILE": "0"}, "2", 0),
        ({"INPUT_TILE": "2,1"}, "", 2),
        ({"INPUT_TILE": "1"}, "", 0),
        ({"INPUT_TILE": "true"}, "", 0),
        ({"INPUT_TILE": ""}, "3", 3),
    ],
)
def test_input_tile_is_the_exports_own_before_the_environments(
    tmp_path: Path, written: dict[str, str], fallback: str, expected: int
) -> None:
    assert Bundle.open(write(tmp_path, model_acc=written)).input_tile(fallback) == expected


@pytest.mark.parametrize("more", [[], ["scripted_sparse_model.pt"]], ids=["whole", "halves"])
def test_exports_that_are_compiled_are_known_by_their_package(tmp_path: Path, more: list[str]) -> None:
    touch(tmp_path, "aoti/aoti_model.pt2", *more)

    bundle = Bundle.open(tmp_path)

    assert (bundle.engine, bundle.model_path) == ("aot_export", tmp_path / "aoti" / "aoti_model.pt2")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "has no scripted_model.pt; give the directory that the export wrote"),
        (
            ["scripted_sparse_model.pt"],
            r"is half of an export with ENABLE_AOT; copy aoti/aoti_model\.pt2 too",
        ),
        (["user/scripted_model.pt", "item/scripted_model.pt"], "is a two-tower export; serve '.*/user'"),
        (["model/scripted_model.pt", "embedding/scripted_model.pt"], "is a tree export; serve '.*/model'"),
        (["fx_user_model/exported_model.pt"], "is a RecIS or RTP export; .*bypass: '.*/fx_user_model'"),
        (
            ["scripted_model.pt", "dense_meta.json"],
            "is a distributed-embedding export",
        ),
        (["scripted_model.pt", "column_sum.json"], "has scripted_model.pt and column_sum.json; keep one"),
    ],
)
def test_what_is_no_bundle_says_what_to_do(tmp_path: Path, files: list[str], message: str) -> None:
    touch(tmp_path, *files)

    with pytest.raises(BundleError, match=message) as error:
        Bundle.open(tmp_path)

    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"DISTRIBUTED_EMBEDDING": "1"}, "distributed-embedding export"),
        ({"ENABLE_TRT": "1"}, "needs TensorRT"),
        ({"ENABLE_AOT": "2", "INPUT_TILE": "3"}, "an export with ENABLE_AOT=2 and INPUT_TILE, which cannot"),
        ({"UNIFIED_AOT": "1", "INPUT_TILE": "2"}, "an export with ENABLE_AOT=2 and INPUT_TILE, which cannot"),
        ({"cand_seq_pk": "cand_seq"}, r"HSTU ranking export \(cand_seq_pk 'cand_seq'\)"),
        ({"INPUT_TILE": 2}, r'model_acc.json: INPUT_TILE is 2; its values are strings, write "2"'),
    ],
)
def test_flags_of_exports_that_we_cannot_serve_are_refused(
    tmp_path: Path, flags: dict[str, object], message: str
) -> None:
    with pytest.raises(BundleError, match=message):
        Bundle.open(write(tmp_path, model_acc=flags))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a": "b",\n  1}', r"model_acc.json is not JSON: line 2 column 3: Expecting property name"),
        (b"[]", r"model_acc.json holds a JSON list; an object \{...\} is expected"),
        (b'{"a": "\xff"}', "model_acc.json is not UTF-8: byte 7 is 0xff"),
        (b"", "model_acc.json is not JSON: line 1 column 1"),
    ],
)
def test_json_that_does_not_parse_is_told_by_line_and_column(
    tmp_path: Path, content: bytes, message: str
) -> None:
    write(tmp_path)
    (tmp_path / "model_acc.json").write_bytes(content)

    with pytest.raises(BundleError, match=message):
        Bundle.open(tmp_path)


def test_a_path_that_is_no_directory_is_told(tmp_path: Path) -> None:
    write(tmp_path)

    with pytest.raises(BundleError, match="'nowhere' does not exist"):
        Bundle.open("nowhere")
    with pytest.raises(BundleError, match=r"scripted_model.pt' is a file; give the directory that holds it"):
        Bundle.open(tmp_path / "scripted_model.pt")


def test_an_asset_is_found_in_the_bundle(tmp_path: Path) -> None:
    bundle = Bundle.open(write(tmp_path, "vocab_0a1b.txt"))

    assert bundle.asset("vocab_0a1b.txt") == tmp_path.resolve() / "vocab_0a1b.txt"
    with pytest.raises(BundleError, match=r"asset 'words.txt' is not in the bundle"):
        bundle.asset("words.txt")


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "sub/../../secret", "link"])
def test_an_asset_cannot_lie_outside_the_bundle(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").touch()
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path / "secret")
    bundle = Bundle.open(write(folder))

    with pytest.raises(BundleError, match="lies outside the bundle"):
        bundle.asset(name)
