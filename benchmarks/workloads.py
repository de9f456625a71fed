"""The benchmark workloads: which features a model reads, and seeded data for them. The one definition.

Workload ──fg()──────────▶ fg.json of the bundle          ┐
         ──schema()──────▶ input_schema.json              ├─ benchmarks/models.py builds the model beside them
         ──item_table()──▶ items.parquet (100,000 rows)   │
         ──requests()────▶ what callers send              │
         ──inputs()──────▶ what feature generation hands to the engine, drawn at random: for bare calls

tiny       20 candidates, 10 features: 2 user ids, 1 user float, 3 item ids, 1 tag list, 2 item floats, 1
combo rank-200   200 candidates, 80 features: user 12 strings, 4 ints, 3 tag lists, 4 bucketised, 4 floats;
           item 18 strings, 6 ints, 6 tag lists, 5 bucketised, 5 floats; 3 lookups, 8 combos,
           2 click sequences of 50 item ids
rank-1000  1,000 candidates of the same model and data
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa
    from numpy.random import Generator
    from numpy.typing import NDArray

    from recserve.columns import ModelInputs

DIM = 16  # of every embedding
SEQUENCE_LENGTH = 50
ITEMS = 100_000

ID_TABLE = 1_000_000  # rows of the tables of user id and item id
WIDE_TABLE = 500_000  # of two combos
TABLE = 100_000  # of the rest
BOUNDARIES = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]  # of every bucketised float

VALUES = 5_000  # distinct strings per column
KEYS = 1_000  # distinct strings of the columns that lookups use as keys
MAX_TAGS = 5
MAX_MAP_KEYS = 200


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature: what it reads, and how many rows its embedding table has."""

    name: str
    kind: str  # string | int | tags | bucketised | float | lookup | combo | sequence
    side: str  # user | item | pair; a sequence is on side user
    rows: int = 0  # of the table; 0: dense, one float
    reads: tuple[str, ...] = ()  # columns of a pair feature: the user's, then the item's

    @property
    def full_name(self) -> str:
        """The name that its tensors carry: a member of a sequence has its group's name before it."""
        return f"{self.name}__item_id" if self.kind == "sequence" else self.name

    @property
    def dense(self) -> bool:
        return self.rows == 0


@dataclass(frozen=True, slots=True)
class Request:
    """What a caller sends, as plain Python values."""

    user: dict[str, Any]
    item_ids: list[str]


@dataclass(frozen=True, slots=True)
class Workload:
    name: str
    candidates: int
    features: tuple[Feature, ...]

    def fg(self) -> dict[str, Any]:
        """The fg.json of the workload."""
        return {"features": [_FG[feature.kind](feature) for feature in self.features]}

    def schema(self) -> dict[str, dict[str, str]]:
        """The input_schema.json of the workload: side → column → type."""
        columns: dict[str, dict[str, str]] = {"user": {}, "context": {}, "item": {}}
        for feature in self.features:
            if feature.kind == "lookup":
                columns["user"][feature.reads[0]] = "map<string,float32>"
            elif feature.side != "pair":
                columns[feature.side][feature.name] = _COLUMN_TYPE[feature.kind]
        return columns

    def item_table(self, items: int = ITEMS, seed: int = 1) -> pa.Table:
        """The item table; `item_id` is the key, and a feature as well."""
        import pyarrow as pa  # here and below: the peers, who read the features alone, do without its memory

        rng = np.random.default_rng(seed)
        columns = {
            feature.name: _column(feature, items, rng) for feature in self.features if feature.side == "item"
        }
        columns["item_id"] = pa.array(_item_ids(np.arange(items)))
        return pa.table(columns)

    def requests(self, count: int, *, items: int = ITEMS, seed: int = 2) -> Iterator[Request]:
        """Requests of different users for different items that the table has."""
        rng = np.random.default_rng(seed)
        for _ in range(count):
            user: dict[str, Any] = {}
            for feature in self.features:
                if feature.kind == "sequence":
                    user[feature.name] = ";".join(_item_ids(rng.integers(0, items, SEQUENCE_LENGTH)))
                elif feature.kind == "lookup":
                    user.setdefault(feature.reads[0], _affinities(rng))
                elif feature.side == "user":
                    user[feature.name] = _column(feature, 1, rng)[0].as_py()
            yield Request(user, _item_ids(rng.choice(items, self.candidates, replace=False)))

    def inputs(self, rows: int, *, tile: bool = False, seed: int = 3) -> ModelInputs:
        """Model inputs of one request for `rows` items, ids drawn at random.

        Without `tile` a user value is repeated for every row, with it a user value has one row and
        `batch_size` is sent.
        """
        from recserve.columns import ModelInputs  # which the peers, whose workloads these are too, lack

        rng = np.random.default_rng(seed)
        ints: dict[str, NDArray[np.int64]] = {}
        floats: dict[str, NDArray[np.float32]] = {}
        for feature in self.features:
            drawn, repeated = (1, rows) if feature.side == "user" else (rows, 1)
            repeated = 1 if tile else repeated
            name = feature.full_name
            if feature.dense:
                floats[f"{name}.values"] = np.tile(rng.random((drawn, 1), np.float32), (repeated, 1))
                continue
            lengths = _lengths(feature, drawn, rng)
            ints[f"{name}.values"] = np.tile(rng.integers(0, feature.rows, int(lengths.sum())), repeated)
            ints[f"{name}.lengths"] = np.tile(lengths, repeated)
        if tile:
            ints["batch_size"] = np.array([rows])
        return ModelInputs(list(ints), list(ints.values()), list(floats), list(floats.values()))


def _lengths(feature: Feature, rows: int, rng: Generator) -> NDArray[np.int64]:
    if feature.kind == "tags":
        return rng.integers(0, MAX_TAGS + 1, rows)
    return np.full(rows, SEQUENCE_LENGTH if feature.kind == "sequence" else 1)


def _item_ids(numbers: NDArray[np.int64]) -> list[str]:
    return [f"i{number}" for number in numbers.tolist()]


def _affinities(rng: Generator) -> dict[str, float]:
    """A map of 1 to 200 keys of the strings that lookups find on the item side."""
    keys = rng.choice(KEYS, int(rng.integers(1, MAX_MAP_KEYS + 1)), replace=False).tolist()
    return {f"v{key}": float(value) for key, value in zip(keys, rng.random(len(keys)), strict=True)}


def _column(feature: Feature, rows: int, rng: Generator) -> pa.Array:
    """Random values of a user or item column."""
    import pyarrow as pa

    if feature.kind == "string":
        values = ID_TABLE if feature.rows == ID_TABLE else KEYS if feature.name in _LOOKUP_KEYS else VALUES
        return _strings(rng.integers(0, values, rows))
    if feature.kind == "int":
        return pa.array(rng.integers(0, feature.rows, rows), pa.int64())
    if feature.kind == "tags":
        lengths = rng.integers(0, MAX_TAGS + 1, rows)
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
        return pa.ListArray.from_arrays(
            pa.array(offsets), _strings(rng.integers(0, VALUES, int(offsets[-1])))
        )
    return pa.array(rng.random(rows, np.float32))


def _strings(numbers: NDArray[np.int64]) -> pa.Array:
    import pyarrow as pa

    return pa.array([f"v{number}" for number in numbers.tolist()], pa.string())


def _id(feature: Feature, **keys: Any) -> dict[str, Any]:
    return {
        "feature_type": "id_feature",
        "feature_name": feature.name,
        "expression": f"{feature.side}:{feature.name}",
        "default_value": "",
        **keys,
    }


def _raw(feature: Feature, **keys: Any) -> dict[str, Any]:
    return {
        "feature_type": "raw_feature",
        "feature_name": feature.name,
        "expression": f"{feature.side}:{feature.name}",
        "default_value": "0",
        "value_type": "float",
        **keys,
    }


def _lookup(feature: Feature) -> dict[str, Any]:
    return {
        "feature_type": "lookup_feature",
        "feature_name": feature.name,
        "map": f"user:{feature.reads[0]}",
        "key": f"item:{feature.reads[1]}",
        "needDiscrete": False,
        "combiner": "sum",
        "default_value": "0",
        "value_type": "float",
    }


def _combo(feature: Feature) -> dict[str, Any]:
    return {
        "feature_type": "combo_feature",
        "feature_name": feature.name,
        "expression": [f"user:{feature.reads[0]}", f"item:{feature.reads[1]}"],
        "hash_bucket_size": feature.rows,
        "default_value": "",
    }


def _sequence(feature: Feature) -> dict[str, Any]:
    return {
        "sequence_name": feature.name,
        "sequence_length": SEQUENCE_LENGTH,
        "sequence_delim": ";",
        "sequence_pk": f"user:{feature.name}",
        "features": [
            {
                "feature_type": "id_feature",
                "feature_name": "item_id",
                "expression": "item:item_id",
                "hash_bucket_size": feature.rows,
                "value_dim": 1,
                "default_value": "0",
            }
        ],
    }


_FG = {
    "string": lambda feature: _id(feature, hash_bucket_size=feature.rows, value_type="string"),
    "int": lambda feature: _id(feature, num_buckets=feature.rows, value_type="int64"),
    "tags": lambda feature: _id(feature, hash_bucket_size=feature.rows, value_type="string"),
    "bucketised": lambda feature: _raw(feature, boundaries=BOUNDARIES),
    "float": lambda feature: _raw(feature, normalizer="method=zscore,mean=0.5,standard_deviation=0.29"),
    "lookup": _lookup,
    "combo": _combo,
    "sequence": _sequence,
}

_COLUMN_TYPE = {
    "string": "string",
    "int": "int64",
    "tags": "list<string>",
    "bucketised": "float32",
    "float": "float32",
    "sequence": "string",
}

_LOOKUP_KEYS = ("item_string_1", "item_string_2", "item_string_3")


def _side(
    side: str, *, strings: int, ints: int = 0, tags: int = 0, buckets: int = 0, floats: int = 0
) -> list[Feature]:
    """Features of one side; the first string is the id of the user or item."""
    ids = [Feature(f"{side}_id", "string", side, ID_TABLE)]
    ids += [Feature(f"{side}_string_{k}", "string", side, TABLE) for k in range(1, strings)]
    ids += [Feature(f"{side}_int_{k}", "int", side, TABLE) for k in range(1, ints + 1)]
    ids += [Feature(f"{side}_tags_{k}", "tags", side, TABLE) for k in range(1, tags + 1)]
    ids += [
        Feature(f"{side}_bucket_{k}", "bucketised", side, len(BOUNDARIES) + 1) for k in range(1, buckets + 1)
    ]
    return ids + [Feature(f"{side}_float_{k}", "float", side) for k in range(1, floats + 1)]


def _combos(count: int) -> list[Feature]:
    """User string k × item string k; the first two have the wider table."""
    reads = [(f"user_string_{k}", f"item_string_{k}") for k in range(1, count + 1)]
    return [
        Feature(f"combo_{k}", "combo", "pair", WIDE_TABLE if count > 1 and k <= 2 else TABLE, pair)
        for k, pair in enumerate(reads, 1)
    ]


_RANK = (
    *_side("user", strings=12, ints=4, tags=3, buckets=4, floats=4),
    *_side("item", strings=18, ints=6, tags=6, buckets=5, floats=5),
    *(
        Feature(f"lookup_{k}", "lookup", "pair", reads=("affinity", key))
        for k, key in enumerate(_LOOKUP_KEYS, 1)
    ),
    *_combos(8),
    Feature("clicks", "sequence", "user", ID_TABLE),
    Feature("buys", "sequence", "user", ID_TABLE),
)
_TINY = (
    *_side("user", strings=2, floats=1),
    *_side("item", strings=3, tags=1, floats=2),
    *_combos(1),
)

TINY = Workload("tiny", 20, _TINY)
RANK_200 = Workload("rank-200", 200, _RANK)
RANK_1000 = Workload("rank-1000", 1000, _RANK)
WORKLOADS = {workload.name: workload for workload in (TINY, RANK_200, RANK_1000)}
