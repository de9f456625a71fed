"""Staged = naive: whatever is finished, gathered, kept for the request or tiled, the bits are the same."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from tests.gil import beside_others

from recserve.columns import Batch, batch_from_arrow, column_from_arrow
from recserve.errors import RequestError
from recserve.features import config
from recserve.features.generator import Generator

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from recserve.columns import Column, ModelInputs

Columns = dict[str, tuple[pa.DataType, list[Any]]]

TEXT, INT, FLOAT = pa.string(), pa.int64(), pa.float32()
TEXTS, FLOATS = pa.list_(TEXT), pa.list_(FLOAT)
WORDS = ["a", "b", "c", "d", "7", "1.5", ""]
BUCKETS: list[dict[str, Any]] = [
    {"hash_bucket_size": 50},
    {"hash_bucket_size": 2**63 - 1},
    {"vocab_list": ["a", "b", "c", "7"], "default_bucketize_value": 2},
    {"num_buckets": 9},
]
NUMBER_BUCKETS: list[dict[str, Any]] = [{}, {}, {"boundaries": [0, 1.5, 4]}, {"num_buckets": 5}]


class World:
    """A random item table, a user, candidates and a list of clicked items."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.items: Columns = {
            "cate": (TEXT, [self.text() for _ in range(12)]),
            "brand": (INT, [self.random.choice([None, 1, 2, 7, -3]) for _ in range(12)]),
            "price": (FLOAT, [self.random.choice([None, 0.0, 1.5, 2.25, 7.0]) for _ in range(12)]),
            "tags": (TEXTS, [self.some(["a", "b", "7"]) for _ in range(12)]),
            "vector": (FLOATS, [self.some([1.5, -2.0, 3.0]) for _ in range(12)]),
        }
        self.user: Columns = {
            "uid": (TEXT, [self.text()]),
            "age": (INT, [self.random.choice([None, 3, 40])]),
            "likes": (TEXTS, [self.some(["a", "b", "c"])]),
            "map": (TEXT, [self.random.choice([None, "a:1\x1db:2.5\x1d7:x", "7:0.1\x1da:3"])]),
            "nested": (TEXT, [self.random.choice(["", "a^1:5,2:6|b^7:1", "7^7:2|a^1:3"])]),
            "s__time": (TEXT, [self.random.choice(["", "1;2;3", "4;;x;2;1;9"])]),
        }
        self.candidates = [self.random.randrange(12) for _ in range(self.random.randrange(0, 6))]
        self.clicked = [self.random.randrange(12) for _ in range(self.random.randrange(0, 5))]
        self.context: Columns = {"hour": (INT, [self.random.choice([None, 1, 2]) for _ in self.candidates])}

    def text(self) -> str | None:
        return self.random.choice([None, *WORDS, "a\x1db", "b\x1d\x1dc", "a|d"])

    def some(self, values: list[Any]) -> list[Any] | None:
        return self.random.choice([None, [], values[:1], values, values[::-1]])

    def user_batch(self) -> Batch:
        return _batch(self.user, 1)

    def context_batch(self) -> Batch:
        return _batch(self.context, len(self.candidates))

    def item_batch(self, rows: Sequence[int], columns: Collection[str] | None = None) -> Batch:
        kept = {name: column for name, column in self.items.items() if columns is None or name in columns}
        return _batch({name: (t, [v[row] for row in rows]) for name, (t, v) in kept.items()}, len(rows))

    def joined(self) -> Batch:
        """The same as rows of a training table; elements without a value are empty lists."""
        rows = len(self.candidates)
        columns: Columns = {name: (t, v * rows) for name, (t, v) in self.user.items()}
        columns |= self.context
        for name, (t, values) in self.items.items():
            columns[name] = (t, [values[row] for row in self.candidates])
            sequence = [values[row] for row in self.clicked]
            if t == TEXT:
                columns[f"s__{name}"] = (TEXTS, [["" if v is None else v for v in sequence]] * rows)
            elif pa.types.is_list(t):
                columns[f"s__{name}"] = (pa.list_(t), [[v or [] for v in sequence]] * rows)
            else:
                columns[f"s__{name}"] = (
                    pa.list_(pa.list_(t)),
                    [[[] if v is None else [v] for v in sequence]] * rows,
                )
        return _batch(columns, rows)


def _batch(columns: Columns, rows: int) -> Batch:
    batch = Batch(rows)
    for name, (type_, values) in columns.items():
        batch.add(name, column_from_arrow(pa.array(values, type_), name))
    return batch


class Features:
    """Random features over a World's columns; stubs come first, so that others may read them."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.count = 0
        self.readable: list[str] = []

    def config(self) -> dict[str, Any]:
        stubs = [self.feature(stub=True) for _ in range(3)]
        self.readable = [f"feature:{stub['feature_name']}" for stub in stubs]
        plain = [self.feature() for _ in range(8)]
        members = [self.feature(member=True) for _ in range(5)]
        group: dict[str, Any] = {"sequence_name": "s", "sequence_pk": "user:clicks", "features": members}
        if self.random.random() < 0.5:
            group["sequence_length"] = 3
        return {"features": [*stubs, *plain[:4], group, *plain[4:]]}

    def feature(self, *, stub: bool = False, member: bool = False) -> dict[str, Any]:
        self.count += 1
        make = self.random.choice([self.id, self.raw, self.combo, self.lookup, self.match, self.expr])
        feature = {"feature_name": f"f{self.count}", **make(member), "stub_type": stub}
        if member or self.random.random() < 0.5:
            feature["default_value"] = "2"
        return feature

    def source(self, *, sides: str = "user item context") -> str:
        names = {
            "user": ["uid", "age", "likes"],
            "item": ["cate", "brand", "price", "tags", "vector"],
            "context": ["hour"],
        }
        choices = [f"{side}:{name}" for side in sides.split() for name in names[side]]
        return self.random.choice(choices + (self.readable if sides != "item" else []))

    def maybe(self, **keys: Any) -> dict[str, Any]:
        return {name: value for name, value in keys.items() if self.random.random() < 0.4}

    def id(self, member: bool) -> dict[str, Any]:
        source = self.random.choice([self.source(sides="item"), "user:time"]) if member else self.source()
        keys = self.maybe(value_dim=1, separator="|", need_prefix=True)
        weighted = {} if member else self.maybe(weighted=True)
        return {
            "feature_type": "id_feature",
            "expression": source,
            **self.random.choice(BUCKETS),
            **keys,
            **weighted,
        }

    def raw(self, member: bool) -> dict[str, Any]:
        source = self.random.choice([self.source(sides="item"), "user:time"]) if member else self.source()
        keys = self.maybe(value_dim=2, normalizer="method=zscore,mean=0.1,standard_deviation=0.3")
        keys |= self.maybe(value_type="int64")
        return {
            "feature_type": "raw_feature",
            "expression": source,
            **keys,
            **self.random.choice(NUMBER_BUCKETS),
        }

    def combo(self, member: bool) -> dict[str, Any]:
        sources = [self.source(sides="item") if member else self.source(), self.source(sides="user item")]
        return {
            "feature_type": "combo_feature",
            "expression": sources,
            **self.random.choice(BUCKETS[:3]),
            **self.maybe(value_dim=1),
        }

    def lookup(self, member: bool) -> dict[str, Any]:
        combiner = self.random.choice(["sum", "mean", "count", "gap_max", ""])
        source = self.source(sides="item") if member else self.source()
        keys = {"feature_type": "lookup_feature", "map": "user:map", "key": source, "combiner": combiner}
        if self.random.random() < 0.5:
            return {**keys, "needDiscrete": True, **self.random.choice(BUCKETS), **self.maybe(needKey=True)}
        return {**keys, **self.random.choice(NUMBER_BUCKETS)}

    def match(self, member: bool) -> dict[str, Any]:
        sources = [self.source(sides="item"), self.source(sides="item")]
        keys: dict[str, Any] = {
            "feature_type": "match_feature",
            "user": "user:nested",
            "category": self.random.choice([sources[0], "ALL"]),
            "item": sources[1],
            **self.maybe(matchType="multihit"),
        }
        if self.random.random() < 0.5:
            return {**keys, **self.random.choice(BUCKETS)}
        return {**keys, "needDiscrete": False, **self.random.choice(NUMBER_BUCKETS)}

    def expr(self, member: bool) -> dict[str, Any]:
        first = self.source(sides="item") if member else self.source(sides="user item context")
        second = self.random.choice(["user:age", "const:3"])
        formula = f"{first.split(':')[1]} * 2 + {second.split(':')[1]}" if second != "const:3" else ""
        variables = [first, second] if formula and first != second else [first]
        formula = formula if len(variables) == 2 else f"log({first.split(':')[1]} + 3)"
        keys = {"feature_type": "expr_feature", "expression": formula, "variables": variables}
        return {**keys, **self.maybe(value_dim=2), **self.random.choice(NUMBER_BUCKETS)}


def generate(
    generator: Generator, world: World, *, stored: bool = True, overridden: Collection[str] = ()
) -> ModelInputs:
    """As the server does: finished columns gathered, raw ones only where they are needed.

    A request that overrides raw columns hides the finished ones that read them.
    """
    hidden = {name for name, columns in generator.finished.items() if columns & set(overridden)}
    needed = generator.pair_columns.union(*(generator.finished[name] for name in hidden))
    raw = world.item_batch(world.candidates, needed if stored else None)
    finished = Batch(len(world.candidates))
    if stored:
        everything = generator.finisher.finish(world.item_batch(world.candidates))
        for name in set(everything.names) - hidden:
            finished.add(name, everything[name])
    clicked = {}
    for group, key in generator.sequence_keys.items():
        everything = world.item_batch(world.clicked)  # longer than `key.length`: cut here again
        if stored:
            clicked[group] = (world.item_batch(world.clicked, key.raw), generator.finisher.finish(everything))
        else:
            clicked[group] = (everything, Batch(len(world.clicked)))
    rows = len(world.candidates)
    return generator.generate(world.user_batch(), world.context_batch(), raw, finished, clicked, rows=rows)


def assert_equal(result: ModelInputs, expected: ModelInputs) -> None:
    """Equal to the bit (NaN included)."""
    assert (result.int_names, result.int_sizes) == (expected.int_names, expected.int_sizes)
    assert (result.float_names, result.float_sizes) == (expected.float_names, expected.float_sizes)
    np.testing.assert_array_equal(result.ints, expected.ints)
    np.testing.assert_array_equal(result.floats.view(np.int32), expected.floats.view(np.int32))


@pytest.mark.parametrize("seed", range(60))
def test_any_staging_gives_what_every_row_for_itself_gives(seed: int) -> None:
    generator = Generator(config.load(Features(seed).config()))
    for offset in range(5):
        world = World(1000 * seed + offset)

        expected = generator.generate_joined(world.joined())

        overridden = world.random.sample(sorted(world.items), 2)
        assert_equal(generate(generator, world), expected)
        assert_equal(generate(generator, world, overridden=overridden), expected)
        assert_equal(generate(generator, world, stored=False), expected)


@pytest.mark.parametrize("seed", range(30))
def test_tiled_is_the_same_with_user_features_once(seed: int) -> None:
    fg = Features(seed).config()
    for entry in fg["features"]:
        members = entry.get("features", [])
        entry["features"] = [m for m in members if not _reads_item_twice(m)] if members else members
    fg["features"] = [entry for entry in fg["features"] if entry.get("features") or "feature_name" in entry]
    plain = Generator(config.load(fg))
    assert not any(f.is_user and f.rate == "pair" for f in plain.plan.features), "it could not be tiled"
    tiled = Generator(config.load(fg), tile=True)
    for offset in range(3):
        world = World(1000 * seed + offset)
        rows = len(world.candidates)
        if rows == 0:
            continue

        full, once = _by_tensor(generate(plain, world)), _by_tensor(generate(tiled, world))

        assert once.pop("batch_size").tolist() == [rows]
        users = {f.name for f in tiled.plan.features if f.is_user}
        for name, values in once.items():
            feature = name.rpartition(".")[0]
            repeated = np.tile(values, rows) if feature in users else values
            np.testing.assert_array_equal(repeated, full[name])


def _reads_item_twice(member: dict[str, Any]) -> bool:
    return any(str(source).startswith("feature:") for source in member.get("expression", []))


def _by_tensor(inputs: ModelInputs) -> dict[str, Any]:
    tensors: dict[str, Any] = {}
    for names, sizes, values in (
        (inputs.int_names, inputs.int_sizes, inputs.ints),
        (inputs.float_names, inputs.float_sizes, inputs.floats),
    ):
        ends = np.cumsum([0, *sizes])
        tensors |= {name: values[ends[i] : ends[i + 1]] for i, name in enumerate(names)}
    return tensors


def test_joined_rows_under_tile_are_what_an_offline_run_sends() -> None:
    world = World(7)
    fg = {"features": [{"feature_type": "raw_feature", "feature_name": "age", "expression": "user:age"}]}

    result = _by_tensor(Generator(config.load(fg), tile=True).generate_joined(world.joined()))

    assert len(result["age.values"]) == len(world.candidates)
    assert result["batch_size"].tolist() == [1]


CATE: dict[str, Any] = {
    "feature_type": "id_feature",
    "feature_name": "cate",
    "expression": "item:cate",
    "vocab_list": ["none", "a", "b", "c"],
    "default_value": "none",
    "value_dim": 1,
}
GROUPED = {"features": [CATE, {"sequence_name": "s", "sequence_length": 2, "features": [CATE]}]}


def test_a_request_that_brings_the_sequence_itself_wins_over_the_store() -> None:
    generator = Generator(config.load(GROUPED))
    user = batch_from_arrow({"s__cate": pa.array(["c;b;a"])})
    clicked = batch_from_arrow({"cate": pa.array(["a", "a"])})
    gathered = {"s": (clicked, generator.finisher.finish(clicked))}

    result = generator.generate(
        user, Batch(1), batch_from_arrow({"cate": pa.array(["a"])}), Batch(1), gathered, rows=1
    )

    assert _by_tensor(result)["s__cate.values"].tolist() == [3, 2]


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_without_a_list_a_sequence_is_one_default_element(rows: int) -> None:
    generator = Generator(config.load(GROUPED))
    empty = (Batch(0), generator.finisher.finish(batch_from_arrow({"cate": pa.array([], TEXT)})))
    for clicked in ({}, {"s": empty}):
        result = _by_tensor(
            generator.generate(Batch(1), Batch(rows), Batch(rows), Batch(rows), clicked, rows=rows)
        )

        assert result["s__cate.values"].tolist() == [0] * rows
        assert result["s__cate.lengths"].tolist() == [1] * rows


def test_an_override_falls_back_for_its_own_features_only() -> None:
    price = {"feature_type": "raw_feature", "feature_name": "price", "expression": "item:price"}
    generator = Generator(config.load({"features": [CATE, price]}))
    stored = batch_from_arrow({"cate": pa.array(["a", "b"]), "price": pa.array([1.0, 2.0])})
    finished = generator.finisher.finish(stored)
    kept = Batch(2)
    kept.add("=price", finished["=price"])
    override = batch_from_arrow({"cate": pa.array(["c"])})  # one value stands for both rows

    result = _by_tensor(generator.generate(Batch(1), Batch(2), _with_rows(override, 2), kept, {}, rows=2))

    assert result["cate.values"].tolist() == [3, 3]
    assert result["price.values"].tolist() == [1.0, 2.0]


def _with_rows(batch: Batch, rows: int) -> Batch:
    wider = Batch(rows)
    for name in batch.names:
        wider.add(name, batch[name])
    return wider


def test_random_numbers_are_drawn_for_every_candidate() -> None:
    fg = {
        "features": [
            {
                "feature_type": "expr_feature",
                "feature_name": "f",
                "expression": "u + rnd()",
                "variables": ["user:u"],
            }
        ]
    }
    user = batch_from_arrow({"u": pa.array([1.0])})

    result = Generator(config.load(fg)).generate(user, Batch(50), Batch(50), Batch(50), {}, rows=50)
    tiled = Generator(config.load(fg), tile=True).generate(user, Batch(50), Batch(50), Batch(50), {}, rows=50)

    assert len(set(result.floats.tolist())) > 40
    assert len(tiled.floats) == 1


def test_row_counts_that_do_not_fit_are_refused() -> None:
    generator = Generator(config.load({"features": [CATE]}))

    with pytest.raises(RequestError, match="the item columns have 2 rows where the request has 3"):
        generator.generate(
            Batch(1), Batch(3), batch_from_arrow({"cate": pa.array(["a", "b"])}), Batch(3), {}, rows=3
        )


def test_what_is_answered_as_missing_is_counted() -> None:
    price = {"feature_type": "raw_feature", "feature_name": "price", "expression": "item:price"}
    generator = Generator(config.load({"features": [CATE, price]}))

    generator.generate(
        Batch(1), Batch(2), batch_from_arrow({"price": pa.array(["1", "x"])}), Batch(2), {}, rows=2
    )

    assert generator.counters == {"unparsable_numbers": 1, "missing_columns": 1}
    assert generator.counters_by_feature == {
        ("price", "unparsable_number"): 1,
        ("cate", "missing_column"): 1,
    }


def test_the_finished_columns_are_of_the_types_announced() -> None:
    for seed in range(20):
        generator = Generator(config.load(Features(seed).config()))
        finished = generator.finisher.finish(World(seed).item_batch(range(12)))

        assert set(finished.names) == set(generator.finished) == set(generator.finished_types)
        for name, announced in generator.finished_types.items():
            column = finished[name]
            shown = _shown(column)
            assert shown == announced
            limit = generator.finished_limits.get(name)
            if limit is not None and column.shape in ("scalar", "list"):
                assert all(value < limit for value in column.numbers().tolist())


def _shown(column: Column) -> str:
    if column.shape == "map":
        keys = "string" if pa.types.is_string(pa.array(column).type.key_type) else "int64"
        return f"map<{keys},{column.type}>"
    row = column.type if column.width == 1 else f"{column.type}[{column.width}]"
    return {"scalar": row, "list": f"list<{row}>", "nested": f"list<list<{row}>>"}[column.shape]


def test_eight_threads_get_what_one_gets() -> None:
    generator = Generator(config.load(Features(3).config()))
    worlds = [World(seed) for seed in range(40)]
    expected = [generate(generator, world) for world in worlds]

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda world: generate(generator, world), worlds * 3))

    for result, wanted in zip(results, expected * 3, strict=True):
        assert_equal(result, wanted)


def test_other_python_threads_run_while_features_are_generated() -> None:
    fg = {
        "features": [
            {
                "feature_type": "combo_feature",
                "feature_name": f"f{i}",
                "expression": ["item:a", "item:a"],
                "hash_bucket_size": 1000,
            }
            for i in range(8)
        ]
    }
    generator = Generator(config.load(fg))
    batch = batch_from_arrow({"a": pa.array(["some text"] * 200_000)})

    beside_others(lambda: generator.generate_joined(batch))
    beside_others(lambda: generator.finisher.finish(batch))


def test_members_of_one_sequence_must_have_equally_many_steps_where_a_model_needs_it() -> None:
    members = [
        {"feature_type": "id_feature", "feature_name": "cate", "expression": "item:cate", "value_dim": 1,
         "hash_bucket_size": 10, "default_value": "none"},
        {"feature_type": "raw_feature", "feature_name": "ago", "expression": "user:ago",
         "default_value": "0"},
    ]  # fmt: skip
    group = {"sequence_name": "clicks", "sequence_delim": ";", "sequence_length": 9, "features": members}
    records = config.load({"features": [group]})
    user = Batch(1)
    user.add("clicks__cate", column_from_arrow(pa.array(["a;b;c"])))
    empty = Batch(1)

    message = "'clicks__ago' and 'clicks__cate' of one sequence have 1 and 3 steps"
    with pytest.raises(RequestError, match=message):
        Generator(records, equal_steps=True).generate(user, empty, empty, empty, {}, rows=1)
    inputs = Generator(records).generate(user, empty, empty, empty, {}, rows=1)

    assert dict(zip(inputs.int_names, inputs.int_sizes, strict=True))["clicks__cate.values"] == 3
