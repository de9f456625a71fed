"""Hostile feature configs are refused by name, before anything is built of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from tests.markdown import ROOT

from recserve.columns import batch_from_arrow
from recserve.errors import ConfigError
from recserve.features import config, limits
from recserve.features.generator import Generator

if TYPE_CHECKING:
    from pathlib import Path

ID = {"feature_type": "id_feature", "feature_name": "f", "expression": "item:x", "hash_bucket_size": 10}
RAW = {"feature_type": "raw_feature", "feature_name": "f", "expression": "item:x"}
WORDS = {key: value for key, value in ID.items() if key != "hash_bucket_size"}


def chain(length: int, last: str) -> list[dict[str, Any]]:
    """Each feature reads the next one."""
    names = [*(f"feature:f{place + 1}" for place in range(length - 1)), last]
    return [{**RAW, "feature_name": f"f{place}", "expression": name} for place, name in enumerate(names)]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({**RAW, "value_dim": 2**40}, "value_dim is 1099511627776; 65,536 is the most"),
        ({**RAW, "value_dimension": 10**30}, "value_dimension is 1"),
        ({**RAW, "value_dim": 2**40, "default_value": "1"}, "65,536 is the most"),
        (
            {**ID, "hash_bucket_size": 2**63},
            "hash_bucket_size is 9223372036854775808; 9,223,372,036,854,775,807",
        ),
        (
            {**ID, "feature_type": "sequence_id_feature", "default_value": "0", "sequence_length": 2**40},
            "sequence_length is 1099511627776; 2,147,483,647 is the most",
        ),
        ({**RAW, "boundaries": list(range(100_001))}, "boundaries has 100,001 entries; 100,000 are the most"),
        ({**RAW, "boundaries": [1, float("inf")]}, "boundaries is inf, which is no number"),
        ({**RAW, "boundaries": [1, 10**400]}, "boundaries is 1000000000"),
        ({**WORDS, "vocab_list": ["a"] * 10_000_001}, "vocab_list has 10,000,001 entries; 10,000,000 are"),
        ({**WORDS, "vocab_list": ["a", "\ud800"]}, r"vocab_list 'a\\ud800' is not Unicode text"),
        (
            {**ID, "default_value": "1" * 1_048_577},
            "default_value '111.*…? has 1,048,577 bytes; 1,048,576 are",
        ),
        ({**ID, "separator": "\ud800"}, "is not Unicode text"),
        (
            {**ID, "feature_type": "combo_feature", "expression": ["user:a"] * 1025},
            "expression has 1,025 entries; 1,024 are the most",
        ),
        ({**ID, "feature_name": "a\nb"}, r"feature_name 'a\\nb' holds a control character"),
        ({**ID, "feature_name": "a" * 513}, "feature_name 'aaa.* has 513 bytes; 512 are the most"),
        ({**ID, "feature_name": ["f"]}, r"feature_name \['f'\] is not a name"),
        ({**ID, "feature_name": 7}, "feature_name 7 is not a name"),
        ({"sequence_name": "a\x00", "features": []}, r"sequence_name 'a\\x00' holds a control character"),
        ({"sequence_name": {}, "features": []}, r"sequence_name {} is not a name"),
        ({"sequence_name": "s", "sequence_pk": 5, "features": []}, "sequence group 's': sequence_pk is 5"),
        ({**WORDS, "vocab_file": "../secret"}, "vocab_file '../secret' lies outside of the folder"),
        ({**WORDS, "vocab_file": "/etc/passwd"}, "vocab_file '/etc/passwd' lies outside of the folder"),
        ({**WORDS, "vocab_file": "a\x00b"}, "is not a path"),
        ({**WORDS, "vocab_file": "a" * 5000}, "is not a path"),
        (
            {**RAW, "normalizer": "method=expression,expr=" + "(" * 10_000 + "x" + ")" * 10_000},
            "levels of nesting",
        ),
        ({**RAW, "normalizer": "method=expression,expr=" + "-" * 40_000 + "x"}, "levels of nesting"),
        ({**RAW, "normalizer": "method=expression,expr=x" + "+x" * 40_000}, "at most 65536 bytes"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_what_is_absurd_is_refused_by_name(tmp_path: Path, entry: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        Generator(config.load({"features": [entry]}, folder=tmp_path))

    assert len(str(error.value)) < 400  # the value itself may be long


def test_a_million_features_are_refused_before_they_are_read() -> None:
    with pytest.raises(ConfigError, match=r"fg.json has 1,000,000 features; 20,000 are the most"):
        config.load({"features": [{}] * 1_000_000})
    with pytest.raises(ConfigError, match=r"fg.json has 1,000,000 features"):
        config.load({"features": [{"sequence_name": "s", "features": [{}] * 1_000_000}]})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000 + "]" * 100_000, "nested too deeply"),
        ('{"features": ' + '{"a":' * 100_000, "nested too deeply"),
        ('{"features": [], "features": []}', "the key 'features' stands twice"),
        ('{"features": [{"value_dim": 1, "value_dim": 2}]}', "the key 'value_dim' stands twice"),
        ('{"features": [{"default_value": NaN}]}', "JSON has no number NaN"),
        ('{"features": [{"value_dim": ' + "1" * 5000 + "}]}", "an integer of more than 4,300 digits"),
        ('{"features": [1e999]}', "inf among the features is not an object"),
        ('{"features": {}}', "fg.json has no list 'features'"),
        ('{"features": [], }', "line 1, column"),
        ("[]", "a JSON object"),
    ],
    ids=lambda text: text[:30],
)
def test_what_is_no_configuration_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "fg.json"
    path.write_text(text)

    with pytest.raises(ConfigError, match=message):
        config.load(path)


def test_a_file_is_refused_by_its_size(tmp_path: Path) -> None:
    path, words = tmp_path / "fg.json", tmp_path / "words.txt"
    with path.open("wb") as file:
        file.truncate(limits.MAX_FILE_BYTES + 1)  # a hole: it takes no space
    with words.open("wb") as file:
        file.truncate(limits.MAX_ASSET_BYTES + 1)

    with pytest.raises(ConfigError, match=r"fg.json 'fg.json' has 67,108,865 bytes; 67,108,864 are the most"):
        config.load(path)
    with pytest.raises(ConfigError, match=r"vocab_file 'words.txt' has 1,073,741,825 bytes"):
        config.load({"features": [{**WORDS, "vocab_file": "words.txt"}]}, folder=tmp_path)


def test_a_long_circle_is_refused_and_shown_by_its_start() -> None:
    with pytest.raises(ConfigError, match=r"in a circle: f0 -> f1 -> .* -> … -> f0$") as error:
        Generator(config.load({"features": chain(20_000, "feature:f0")}))

    assert len(str(error.value)) < 400


def test_a_long_chain_is_computed_without_recursion() -> None:
    features = Generator(config.load({"features": chain(20_000, "user:x")}))

    result = features.generate_columns(batch_from_arrow({"x": pa.array([1.5, 2.5])}), names=["f0"])

    assert pa.array(result["f0"]).to_pylist() == [1.5, 2.5]


def test_a_long_chain_of_rate_item_is_finished() -> None:
    features = Generator(config.load({"features": chain(5_000, "item:x")}))

    assert features.finished["=f0"] == {"x"}
    assert pa.array(
        features.finisher.finish(batch_from_arrow({"x": pa.array([1.5])}))["=f0"]
    ).to_pylist() == [1.5]


def test_features_that_share_producers_are_not_looked_at_twice() -> None:
    """Sixty layers of two that read both of the layer below: 2^60 ways down."""
    layers = [
        {
            "feature_type": "combo_feature",
            "feature_name": f"{side}{layer}",
            "expression": [f"feature:a{layer - 1}", f"feature:b{layer - 1}"]
            if layer
            else ["item:x", "item:y"],
            "hash_bucket_size": 10,
        }
        for layer in range(60)
        for side in "ab"
    ]

    features = Generator(config.load({"features": layers}))

    assert features.finished["=a59"] == {"x", "y"}
    row = batch_from_arrow({"x": pa.array(["1"]), "y": pa.array(["2"])})
    assert len(features.finisher.finish(row)["=a59"]) == 1


def test_the_table_of_limits_says_what_the_code_refuses() -> None:
    page = (limits.__doc__ or "") + "\n"
    described = (ROOT / "docs" / "reference" / "features.md").read_text()
    for value in (
        limits.MAX_FEATURES,
        limits.MAX_NAME_BYTES,
        limits.MAX_ENTRIES,
        *limits.LIST_LIMITS.values(),
        limits.INTEGER_LIMITS["value_dim"],
    ):
        assert f" {value:,} " in page
        assert f" {value:,} " in described
    assert limits.MAX_FILE_BYTES == 64 * 2**20
    assert limits.MAX_TEXT_BYTES == 2**20
    assert limits.MAX_ASSET_BYTES == 2**30


def test_the_largest_that_is_allowed_works() -> None:
    entry = {**RAW, "value_dim": 65_536, "default_value": "1"}

    result = Generator(config.load({"features": [entry]})).generate_joined(
        batch_from_arrow({"x": pa.array([None], pa.string())})
    )

    assert result.floats.tolist() == [1.0] * 65_536


def test_json_names_what_it_cannot_be(tmp_path: Path) -> None:
    path = tmp_path / "fg.json"
    path.write_text(json.dumps({"features": ["id_feature", None, 3]}))

    with pytest.raises(ConfigError, match="'id_feature' among the features is not an object"):
        config.load(path)
