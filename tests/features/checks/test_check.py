"""All that is wrong with an fg.json is found at once, and each of it once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.markdown import ROOT

from recserve.features.checks.check import check

if TYPE_CHECKING:
    from pathlib import Path

Found = list[tuple[str, bool | None, str]]

ID = {"feature_type": "id_feature", "feature_name": "f", "expression": "item:x", "hash_bucket_size": 10}
RAW = {"feature_type": "raw_feature", "feature_name": "r", "expression": "item:x"}


def found(folder: Path, content: Any, **options: Any) -> Found:
    path = folder / "fg.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    notes: Found = []

    def note(check: str, ok: bool | None, detail: str) -> None:
        notes.append((check, ok, detail))

    check(path, note, **options)
    return notes


def problems(notes: Found, ok: bool | None = False) -> list[str]:
    return [f"{check}: {detail}" for check, passed, detail in notes if passed is ok]


def test_a_right_file_passes_every_check() -> None:
    folder = ROOT / "examples" / "01_train_export_serve_score"
    notes: Found = []

    records = check(folder / "fg.json", lambda check, ok, detail: notes.append((check, ok, detail)))

    assert records is not None
    assert len(records.features) == 43
    assert [check for check, _, _ in notes] == ["file", "features", "inputs", "order", "rules", "plan"]
    assert all(ok for _, ok, _ in notes)


def test_everything_is_found_at_once(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("a\n")
    notes = found(
        tmp_path,
        {
            "features": [
                {**ID, "feature_name": "key", "default_valu": "0"},
                {**RAW, "feature_name": "two", "value_dim": "x", "need_prefix": "maybe", "boundaries": 1},
                {**ID, "feature_name": "type", "feature_type": "ide_feature"},
                {**ID, "feature_name": "side", "expression": "itm:x"},
                {**ID, "feature_name": "name", "expression": "feature:kye"},
                {**ID, "feature_name": "behind", "expression": "feature:name"},
                {**RAW, "feature_name": "rule", "normalizer": "method=zscor"},
                {**RAW, "feature_name": "a", "expression": "feature:b"},
                {**RAW, "feature_name": "b", "expression": "feature:a"},
                {**ID, "feature_name": "file", "hash_bucket_size": None, "vocab_file": "word.txt"},
                {**ID, "feature_name": "text", "hash_bucket_size": None},
                {**RAW, "feature_name": "key"},
                {"sequence_name": "s", "sequence_length": -1, "features": []},
                {"sequence_name": "t", "sequence_pk": "item:t", "features": []},
                {"sequence_name": "u", "sequence_lenght": 3, "features": [{**ID, "feature_name": "v"}]},
                "nothing",
            ],
            "reserved": [],
        },
    )

    wrong = problems(notes)
    expected = [
        "features: feature 'two' (raw_feature): value_dim is 'x'; an integer is wanted; need_prefix is "
        "'maybe'; true or false is wanted; boundaries is 1; a list of numbers is wanted",
        "features: feature 'type': ",
        "features: feature 'file' (id_feature): vocab_file 'word.txt': there is no such file",
        "features: sequence group 's': sequence_length -1 is not a number of elements",
        "features: sequence group 't': sequence_pk 'item:t' is not on side user",
        "features: feature 'u__v' (id_feature): a sequence needs a default_value",
        "features: fg.json: 'nothing' among the features is not an object",
        "features: feature names ['key'] are there twice",
        "inputs: feature 'side' (id_feature): input 'itm:x' is not side:name",
        "inputs: feature 'name' (id_feature): reads the feature 'kye', which fg.json does not have; did you "
        "mean 'key'?",
        "order: features read one another in a circle: a -> b -> a",
        "rules: feature 'rule' (raw_feature): ",
        "rules: feature 'text' (id_feature): its results are texts",
    ]
    assert len(wrong) == len(expected), "\n".join(wrong)
    assert all(line.startswith(start) for line, start in zip(wrong, expected, strict=True)), "\n".join(wrong)
    assert "did you mean 'id_feature'?" in wrong[1]
    assert "did you mean 'item'?" in wrong[8]
    assert problems(notes, None) == [
        "keys: unknown key 'reserved' of the file; did you mean 'reserves'?",
        "keys: feature 'key' (id_feature): unknown key 'default_valu'; did you mean 'default_value'?",
        "keys: sequence group 'u': unknown key 'sequence_lenght'; did you mean 'sequence_length'?",
    ]
    assert notes[-1] == ("plan", True, "2 item")  # key, and text, which is only no tensor


def test_keys_of_real_files_without_effect_are_no_remarks(tmp_path: Path) -> None:
    entry = {
        **ID,
        "is_gbk_input": "0",
        "embedding_dim": 8,
        "shared_name": "x",
        "group": "g",
        "need_discrete": 1,
    }

    notes = found(tmp_path, {"features": [entry]})

    assert problems(notes, None) == [
        "keys: feature 'f' (id_feature): unknown key 'need_discrete': it has no effect"
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "the text ends too early"),
        ("[]", "a JSON object"),
        ('{"feature": []}', "no list 'features'"),
        ('{"features": [],}', "remove the comma"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_finding(tmp_path: Path, content: str, message: str) -> None:
    notes = found(tmp_path, content)

    assert len(notes) == 1
    assert notes[0][:2] == ("file", False)
    assert message in notes[0][2]


def test_outputs_may_be_texts_where_that_is_wanted(tmp_path: Path) -> None:
    entry = {**ID, "hash_bucket_size": None}

    assert problems(found(tmp_path, {"features": [entry]}))
    assert not problems(found(tmp_path, {"features": [entry]}, texts=True))


def test_files_may_lie_anywhere_where_that_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("a\nb\n")
    (tmp_path / "config").mkdir()
    entry = {**ID, "hash_bucket_size": None, "vocab_file": "../words.txt"}

    assert problems(found(tmp_path / "config", {"features": [entry]}))
    assert not problems(found(tmp_path / "config", {"features": [entry]}, anywhere=True))


def test_what_input_tile_cannot_have_is_a_remark(tmp_path: Path) -> None:
    member = {**RAW, "expression": "context:x", "default_value": "0"}

    notes = found(tmp_path, {"features": [{"sequence_name": "s", "features": [member]}]})

    assert any("exported with INPUT_TILE" in remark for remark in problems(notes, None))
