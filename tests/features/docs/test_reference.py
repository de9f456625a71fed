"""The reference of feature types is made of the records."""

from __future__ import annotations

import pytest
from tests.markdown import ROOT

from recserve.errors import ConfigError
from recserve.features import bucketize
from recserve.features.docs.reference import named, reference, section, summaries
from recserve.features.types import FEATURE_TYPES


def test_the_page_has_every_type_and_every_bucketizer() -> None:
    page = reference()

    for feature_type, sentence in summaries().items():
        assert f"\n## {feature_type}\n\n{sentence}\n" in page
    assert all(f"`{key}`" in page for key in bucketize.KEYS)


def test_every_summary_is_one_short_sentence() -> None:
    for feature_type, sentence in summaries().items():
        assert sentence[0].isupper(), feature_type
        assert sentence.endswith("."), feature_type
        assert len(sentence) < 160, feature_type


def test_common_keys_stand_once_and_other_defaults_where_they_differ() -> None:
    page = reference()

    assert page.count("| `stub_type` |") == 1
    assert "| `value_dim` (or `value_dimension`) | an integer | `1` |" in section("raw_feature")
    assert "| `need_prefix` | true or false | `true` |" in section("match_feature")
    assert r'| `separator` | text | `"\x1d"` |' in page


def test_inputs_are_named_so() -> None:
    assert "| `expression` | an input | required |" in section("id_feature")
    assert "| `expression` | a list of inputs | required |" in section("combo_feature")


def test_bars_in_cells_are_escaped() -> None:
    rows = [line for line in section("match_feature").splitlines() if line.startswith("|")]

    assert any(r"\|" in row for row in rows)


@pytest.mark.parametrize("text", ["combo", "combo_feature", "sequence_combo_feature"])
def test_a_type_is_found_by_what_people_call_it(text: str) -> None:
    assert named(text) == "combo_feature"


def test_a_type_that_is_not_there_gets_a_hint() -> None:
    with pytest.raises(ConfigError, match="no feature_type 'comb_feature'; did you mean 'combo_feature'"):
        named("comb_feature")
    with pytest.raises(ConfigError, match=f"known: {', '.join(FEATURE_TYPES)}"):
        named("xyzzy")


def test_make_writes_it() -> None:
    assert "tools/reference.py" in (ROOT / "Makefile").read_text()
    assert "recserve.features.docs.reference" in (ROOT / "tools" / "reference.py").read_text()
