"""Every bucketizer, and every type under those that it takes. Single values are in ../bucketize.json."""

from collections.abc import Mapping

from conformance.cases.case import (
    COMBINE,
    COMBO,
    DISTANCE,
    EXPR,
    HASH,
    ID,
    KV,
    LOOKUP,
    MASK,
    MATCH,
    NORMALIZE,
    OVERLAP,
    RAW,
    REGEX,
    SLICE,
    Case,
    Columns,
    Spec,
    rule,
    sequence,
)
from tests.features.referee.hashing import fingerprint

WORDS: Columns = {"x": ("string", ["a", "b\x1da", "zz", "", "3"])}
BOTH: Columns = {"u": ("string", ["u"]), **WORDS}
MAPS: Columns = {"m": ("string", ["a:3\x1db:12\x1dzz:-1.5"]), **WORDS}
NESTED: Columns = {"m": ("string", ["k^a:3,b:12,zz:-1"]), "c": ("string", ["k"]), **WORDS}
NUMBERS: Columns = {"x": ("float64", [0.1, 3.0, -2.5, 99.9, None])}
BARE = {"need_prefix": False, "show_category": False, "show_item": False}

DISCRETE: dict[str, tuple[Spec, Columns]] = {
    "id": (ID, WORDS),
    "combo": (COMBO, BOTH),
    "discrete lookup": ({**LOOKUP, "needDiscrete": True}, MAPS),
    "match": ({**MATCH, **BARE}, NESTED),
    "bool_mask": (MASK, {**WORDS, "m": ("string", ["1\x1d1"])}),
    "slice": (SLICE, WORDS),
    "regex_replace": ({**REGEX, "regex_pattern": "z", "replacement": "y"}, WORDS),
    "text_normalizer": ({**NORMALIZE, "parameter": 2}, {"x": ("string", ["a", "zz", "", "3"])}),
    "sequence of ids": (sequence(ID, value_dim=0), {"x": ("string", ["a;b\x1da;;zz", "", "3"])}),
}
NUMERIC: dict[str, tuple[Spec, Columns]] = {
    "raw": (RAW, NUMBERS),
    "raw text": (RAW, {"x": ("string", ["0.1", "3", "-2.5", "", "x"])}),
    "raw vector": ({**RAW, "value_dim": 2}, {"x": ("list<float32>", [[0.5, 3.0], [7.0], []])}),
    "numeric lookup": (LOOKUP, MAPS),
    "numeric match": ({**MATCH, "needDiscrete": False}, NESTED),
    "expr": (EXPR, NUMBERS),
    "overlap": ({**OVERLAP, "method": "index_of"}, {"u": ("string", ["a"]), **WORDS}),
    "kv_dot_product": (
        KV,
        {"u": ("string", ["a:3\x1db:0.5"]), "x": ("string", ["a", "b:9\x1da:2", "z", ""])},
    ),
    "combine": (COMBINE, {"x": ("list<float64>", [[0.5, 2.5], [-1.0], [], [7.0]])}),
    "edit distance": (DISTANCE, {"u": ("string", ["ab"]), "x": ("string", ["ab", "abc", "xyzuv", ""])}),
    "sequence of numbers": (sequence(RAW), {"x": ("string", ["0.1;3;;-2", ""])}),
}
VOCAB_LIST = {"vocab_list": ["<D>", "<OOV>", "a", "b", "3", "u_a"], "default_bucketize_value": 1}
VOCAB_FILE: Spec = {"vocab_file": "words.txt", "default_bucketize_value": 9}
VOCAB_DICT = {"vocab_dict": {"a": 7, "b": 7, "3": 9, "A": 2}, "default_bucketize_value": 5}


def crossed(
    kinds: Mapping[str, tuple[Spec, Columns]], label: str, keys: Spec, *, but: tuple[str, ...] = ()
) -> dict[str, tuple[Spec, Columns]]:
    """Each of `kinds`, `but` some, with the same keys of a bucketizer."""
    return {
        f"{label} of {kind}": ({**spec, **keys}, columns)
        for kind, (spec, columns) in kinds.items()
        if kind not in but
    }


CASES: list[Case] = [
    *rule(
        "5.2 hash_bucket_size: the hash of the text, unsigned, modulo n. MurmurHash64A with seed 0xc70f6907.",
        "test",
        {
            "hash of texts": (
                {**ID, **HASH},
                {"x": ("string", ["abc", "hij", "xyz", "中文", "12345678", "ua_ia", "123456789", "0", "1"])},
                {"values": [33, 66, 13, 94, 85, 37, 8, 26, 95], "lengths": [1] * 9},
            ),
        },
        recorded=True,
    ),
    *rule(
        "5.2 With USE_FARM_HASH_TO_BUCKETIZE the hash of text is FarmHash's Fingerprint64.",
        "test",
        {
            "farm hash of texts": (
                {**ID, **HASH},
                {"x": ("string", ["abc", "hij", "xyz", "中文", "12345678", "ua_ia", "123456789", "0", "1"])},
                {"values": [85, 95, 20, 55, 62, 65, 6, 35, 49], "lengths": [1] * 9},
            ),
        },
        recorded=True,
        farm_hash=True,
    ),
    *rule(
        "5.2 Both hashes, of every type that makes tokens.",
        "test",
        crossed(DISCRETE, "hash", HASH) | {"one bucket": ({**ID, "hash_bucket_size": 1}, WORDS)},
    ),
    *rule(
        "5.2 FarmHash, of every type that makes tokens.",
        "test",
        crossed(DISCRETE, "farm hash", HASH)
        | {
            "farm hash of a long text": (
                {**ID, "hash_bucket_size": 2**63 - 1},
                {"x": ("string", ["x" * 70])},
                {"values": [fingerprint(b"x" * 70) % (2**63 - 1)], "lengths": [1]},
            ),
        },
        farm_hash=True,
    ),
    *rule(
        "5.2 A dynamic embedding's ids are the unsigned hash modulo 2^63 - 1.",
        "json",
        {
            "a wide id": (
                {**ID, "hash_bucket_size": 2**63 - 1},
                {"x": ("string", ["hij"])},
                {"values": [0xD8469FF58B9E8182 - (2**63 - 1)], "lengths": [1]},
            ),
            "a wide default": ({**ID, "hash_bucket_size": 2**63 - 1, "default_value": "xyz"}, WORDS),
        },
    ),
    *rule(
        "5.2 A number hashes as its value_type: the four bytes of a float32, with both zeros 0.",
        "test",
        crossed(NUMERIC, "hash", HASH),
    ),
    *rule(
        "5.2 Numbers hash alike under FarmHash; an integer value_type is its own hash, unsigned.",
        "ours",
        {
            "hash of integers": (
                {**RAW, **HASH, "value_type": "int64"},
                {"x": ("int64", [7, 107, -1, None])},
                {"values": [7, 7, (2**64 - 1) % 100, 0], "lengths": [1] * 4},
            ),
            **crossed({"raw under farm hash": NUMERIC["raw"]}, "hash", HASH),
        },
        farm_hash=True,
    ),
    *rule(
        "5.2 num_buckets: the integer itself if 0 <= v < n, else 0, however far out.",
        "test",
        {
            "num_buckets of text": (
                {**ID, "num_buckets": 100},
                {
                    "x": (
                        "string",
                        ["99", "100", "-1", "+01", "00099", "9223372036854775808", "-99999999999999999999"],
                    )
                },
                {"values": [99, 0, 0, 1, 99, 0, 0], "lengths": [1] * 7},
            ),
            "num_buckets of integers": (
                {**ID, "num_buckets": 10},
                {"x": ("int64", [0, 9, 10, -1, 2**40, None])},
                {"values": [0, 9, 0, 0, 0], "lengths": [1] * 5 + [0]},
            ),
            "num_buckets of arrays": (
                {**ID, "num_buckets": 10},
                {"x": ("list<int32>", [[3, 11], []])},
                {"values": [3, 0], "lengths": [2, 0]},
            ),
        },
    ),
    *rule(
        "5.2 Online, text that is no integer is 0.",
        "ours",
        {
            "num_buckets of other text": (
                {**ID, "num_buckets": 10},
                {"x": ("string", ["x", "1.5", " 7 ", "-0", "+"])},
                {"values": [0, 0, 7, 0, 0], "lengths": [1] * 5},
            ),
            **crossed(DISCRETE, "num_buckets", {"num_buckets": 4}, but=("id", "combo")),
        },
    ),
    *rule(
        "5.2 Numeric results are cut toward zero first.",
        "test",
        {
            "num_buckets truncates a numeric result": (
                {**EXPR, "expression": "x / 2", "num_buckets": 10},
                {"x": ("float32", [3.0])},
                {"values": [1], "lengths": [1]},
            ),
            **crossed(NUMERIC, "num_buckets", {"num_buckets": 4}),
        },
    ),
    *rule(
        "5.2 boundaries: how many of them are <= the number, as float32; an equal one counts.",
        "test",
        {
            "a value equal to a boundary goes right": (
                {**RAW, "boundaries": [0.1, 0.2]},
                {"x": ("float64", [0.0, 0.1, 0.15, 0.2])},
                {"values": [0, 1, 1, 2], "lengths": [1] * 4},
            ),
            **crossed(NUMERIC, "boundaries", {"boundaries": [-1.0, 0.1, 3]}),
        },
    ),
    *rule(
        "5.2 A bucketizer of numbers with a default.",
        "test",
        crossed(
            NUMERIC,
            "boundaries with a default",
            {"boundaries": [-1.0, 0.1, 3], "default_value": "1"},
            but=("sequence of numbers",),
        ),
    ),
    *rule(
        "5.2 vocab_list: the place of the word; of one that stands there twice the last. Unknown words have "
        "default_bucketize_value.",
        "test",
        {
            "a word listed twice has its last index": (
                {
                    **ID,
                    "vocab_list": ["", "<OOV>", "a", "b", "a"],
                    "default_bucketize_value": 1,
                    "default_value": "",
                },
                {"x": ("string", ["a", "b", "zz"])},
                {"values": [4, 3, 1], "lengths": [1, 1, 1]},
            ),
            "the default of a vocabulary is a word of it": (
                {
                    **ID,
                    "vocab_list": ["b", "<OOV>", "a", "b"],
                    "default_bucketize_value": 1,
                    "default_value": "b",
                },
                {"x": ("string", ["", "a"])},
                {"values": [3, 2], "lengths": [1, 1]},
            ),
            **crossed(DISCRETE, "vocab_list", VOCAB_LIST),
        },
    ),
    *rule(
        "5.2 Without default_bucketize_value an unknown word is 0.",
        "ours",
        {
            "no default_bucketize_value": (
                {**ID, "vocab_list": ["b", "c"]},
                WORDS,
                {"values": [0, 0, 0, 0, 0], "lengths": [1, 2, 1, 0, 1]},
            ),
            "words of numbers": (
                {**ID, "vocab_list": ["1", "2.5"], "default_bucketize_value": 9},
                {"x": ("float64", [1.0, 2.5, 3.0])},
                {"values": [0, 1, 9], "lengths": [1, 1, 1]},
            ),
        },
    ),
    *rule(
        "5.2 vocab_dict: the index given; words may share one.",
        "test",
        {
            "words of a vocab_dict share an id": (
                {**ID, "vocab_dict": {"a": 2, "b": 2, "c": 3}, "default_bucketize_value": 1},
                {"x": ("string", ["a", "b", "c", "d"])},
                {"values": [2, 2, 3, 1], "lengths": [1] * 4},
            ),
            "prefixed words": ({**ID, "vocab_dict": {"f_a": 5}, "need_prefix": True}, WORDS),
            **crossed(DISCRETE, "vocab_dict", VOCAB_DICT),
        },
    ),
    *rule(
        "5.2 vocab_file: a word in each line, its index counted from 0, or the word, a blank and its index.",
        "test",
        {
            "lines of words": (
                {**ID, "vocab_file": "words.txt", "default_bucketize_value": 9},
                WORDS,
                {"values": [0, 1, 0, 9, 9], "lengths": [1, 2, 1, 0, 1]},
            ),
            "lines with an index": (
                {**ID, "vocab_file": "numbered.txt", "default_bucketize_value": 9},
                WORDS,
                {"values": [5, 7, 5, 9, 9], "lengths": [1, 2, 1, 0, 1]},
            ),
            **crossed(DISCRETE, "vocab_file", VOCAB_FILE, but=("id",)),
        },
        files={"words.txt": "a\nb\n", "numbered.txt": "a 5\r\nb 7\r\n"},
    ),
]
