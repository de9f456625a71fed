from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.features import tokenizer_files

from recserve.pyfg import FeatureFactory

if TYPE_CHECKING:
    from pathlib import Path

ID = {"feature_type": "id_feature", "feature_name": "f", "expression": "feature:other"}


def test_a_tokenizer_has_as_many_ids_as_its_file_has_tokens(tmp_path: Path) -> None:
    tokenizer = tokenizer_files.words()
    tokenizer.add_tokens(["black"])
    tokenizer.save(str(tmp_path / "words.json"))
    feature = {**ID, "feature_type": "tokenize_feature", "vocab_file": str(tmp_path / "words.json")}

    assert FeatureFactory.create(feature, False).vocab_size() == 5


@pytest.mark.parametrize(
    ("keys", "size"),
    [({"hash_bucket_size": 100}, 100), ({"num_buckets": 7}, 7), ({"vocab_list": ["a", "b"]}, 2), ({}, 0)],
)
def test_a_bucketizer_tells_how_many_ids_there_are(keys: dict[str, Any], size: int) -> None:
    assert FeatureFactory.create({**ID, **keys}).vocab_size() == size
