from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from recserve.errors import RequestError

if TYPE_CHECKING:
    from tests.features.conftest import Generate

WORDS = ["?", "ua_ia", "ua_ib", "ub_ia", "ub_ib", "f_ua_ia", "7_5.2", "ua_7_ia", "none"]
COMBO = {"feature_type": "combo_feature", "expression": ["user:u", "item:i"], "vocab_list": WORDS}


@pytest.mark.parametrize(
    ("keys", "columns", "tokens"),
    [
        ({}, {"u": ["ua\x1dub"], "i": ["ia\x1dib"]}, ["ua_ia", "ua_ib", "ub_ia", "ub_ib"]),
        ({"separator": ","}, {"u": ["ua,ub"], "i": [["ia"]]}, ["ua_ia", "ub_ia"]),
        ({"value_dim": 3}, {"u": [["ua", "ub"]], "i": [["ia", "ib"]]}, ["ua_ia", "ua_ib", "ub_ia"]),
        ({"need_prefix": True}, {"u": ["ua"], "i": ["ia"]}, ["f_ua_ia"]),
        ({}, {"u": [7], "i": pa.array([5.2], pa.float32())}, ["7_5.2"]),
        ({"default_value": "none"}, {"u": ["ua"], "i": pa.array([None], pa.string())}, ["none"]),
        ({}, {"u": ["ua"], "i": [""]}, []),
        ({"expression": ["user:u", "const:7", "item:i"]}, {"u": ["ua"], "i": ["ia"]}, ["ua_7_ia"]),
    ],
)
def test_combinations_of_one_row(
    generate: Generate, keys: dict[str, Any], columns: dict[str, Any], tokens: list[str]
) -> None:
    result = generate({**COMBO, **keys}, columns)

    assert result == {"values": [WORDS.index(token) for token in tokens], "lengths": [len(tokens)]}


def test_the_joined_token_is_hashed(generate: Generate) -> None:
    feature = {"feature_type": "combo_feature", "expression": ["user:u", "item:i"], "hash_bucket_size": 100}

    assert generate(feature, {"u": ["ua"], "i": ["ia"]}) == {"values": [37], "lengths": [1]}


def test_each_element_of_a_sequence_meets_the_whole_cell(generate: Generate) -> None:
    feature = {**COMBO, "feature_type": "sequence_combo_feature", "default_value": "none"}

    result = generate(feature, {"u": ["ua\x1dub"], "i": ["ia;;ib"]})

    expected = [1, 3, WORDS.index("none"), 2, 4]
    assert result == {"values": expected, "key_lengths": [2, 1, 2], "lengths": [3]}


def test_the_shorter_of_two_sequences_continues_as_missing(generate: Generate) -> None:
    feature = {**COMBO, "default_value": "none", "value_dim": 1, "sequence_fields": ["u", "i"], "group": {}}

    result = generate(feature, {"s__u": ["ua;ub"], "s__i": ["ia"]})

    assert result == {"values": [1, WORDS.index("none")], "lengths": [2]}


@pytest.mark.parametrize(
    "numbers", [list(range(300)), [str(n) for n in range(300)], [n / 4 for n in range(300)]]
)
def test_lists_that_multiply_beyond_memory_are_refused(generate: Generate, numbers: list[Any]) -> None:
    columns = {"x": [numbers], "y": [numbers]}
    feature = {"feature_type": "combo_feature", "expression": ["item:x", "item:y"], "hash_bucket_size": 10}

    with pytest.raises(RequestError, match=r"feature 'f' combines lists that have over 65536 combinations"):
        generate(feature, columns)

    assert len(generate({**feature, "value_dim": 5}, columns)["values"]) == 5
