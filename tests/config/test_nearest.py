from __future__ import annotations

import pytest

from recserve.config.nearest import did_you_mean, nearest


@pytest.mark.parametrize(
    ("word", "known", "expected"),
    [
        ("feature_typ", ["feature_type", "feature_name"], "feature_type"),
        ("itm", ["user", "item", "context"], "item"),
        ("HASH_BUCKET_SIZE", ["hash_bucket_size"], "hash_bucket_size"),
        ("needdiscrete", ["needDiscrete", "needKey"], "needDiscrete"),
        ("raw", ["raw_feature", "id_feature"], "raw_feature"),
        ("fea", ["feature_one_of_many", "feature_two_of_many"], ""),
        ("nothing like it", ["user", "item"], ""),
        ("a", [], ""),
        ("name1", [f"name{place}" for place in range(2000)], ""),  # no list that a person typed
    ],
)
def test_the_nearest_name_is_what_was_meant(word: str, known: list[str], expected: str) -> None:
    assert nearest(word, known) == expected


def test_an_error_ends_with_the_name_or_with_nothing() -> None:
    assert did_you_mean("usr", ["user"]) == "; did you mean 'user'?"
    assert did_you_mean("xyz", ["user"]) == ""
