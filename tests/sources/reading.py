"""What every source promises about reading: schema, rows, snapshots, types, moments, and what it refuses."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest
from tests.sources.place import KEYS, TYPES, Expected, Place, by_key, needs

ITEMS = pa.table(
    {
        "price": pa.array([1.5, None, 2.5], pa.float64()),
        "id": ["c", "a", "b"],
        "title": ["first", "", None],
        "clicks": pa.array([1, 2, None], pa.int64()),
    }
)


class Reading(Expected):
    def test_what_was_written_is_read(self, place: Place) -> None:
        source = place.make(ITEMS, "id")

        self.check_equal(self.read(source), ITEMS, "id")
        assert set(source.schema().names) - self.own_columns == set(ITEMS.schema.names)
        assert source.key == "id"

    def test_a_snapshot_has_the_types_of_the_schema(self, place: Place) -> None:
        source = place.make(ITEMS, "id")
        schema = source.schema()

        for batch in source.snapshot():
            assert batch.schema.equals(schema)

    def test_its_abilities_are_as_said(self, place: Place) -> None:
        source = place.make(ITEMS, "id")

        assert source.abilities == self.can & {"changes", "profile", "get", "write"}
        for ability, methods in {
            "changes": ["cursor", "changes"],
            "profile": ["profile"],
            "get": ["get"],
            "write": ["write"],
        }.items():
            if ability in source.abilities:
                assert all(callable(getattr(source, method)) for method in methods)

    def test_its_name_and_origin_are_for_messages(self, place: Place) -> None:
        source = place.make(ITEMS, "id")

        assert source.name
        assert isinstance(source.origin, str)
        if self.secret:
            assert self.secret not in f"{source.name} {source.origin} {source!r} {source}"

    @pytest.mark.parametrize(
        "columns",
        [["clicks", "price"], ("price", "clicks"), {"clicks", "price", "absent"}, ["id", "price", "clicks"]],
        ids=["list", "tuple", "absent", "with key"],
    )
    def test_a_snapshot_has_the_key_and_the_columns_asked_for(self, place: Place, columns: list[str]) -> None:
        self.check_equal(
            self.read(place.make(ITEMS, "id"), columns), ITEMS.select(["id", "price", "clicks"]), "id"
        )

    def test_a_column_named_twice_comes_once(self, place: Place) -> None:
        result = self.read(place.make(ITEMS, "id"), ["price", "price"])

        assert sorted(result.schema.names) == ["id", "price"]

    @pytest.mark.parametrize("columns", [[], ["absent"], ["id"]])
    def test_the_key_alone_can_be_read(self, place: Place, columns: list[str]) -> None:
        self.check_equal(self.read(place.make(ITEMS, "id"), columns), ITEMS.select(["id"]), "id")

    def test_a_snapshot_may_be_taken_again(self, place: Place) -> None:
        source = place.make(ITEMS, "id")

        self.check_equal(self.read(source), self.read(source), "id")

    def test_snapshots_can_be_read_side_by_side(self, place: Place) -> None:
        source = place.make(ITEMS, "id")
        first, second = source.snapshot(), source.snapshot(["price"])
        mixed = [next(first), next(second), *first]

        self.check_equal(self.table(source, [mixed[0], *mixed[2:]]), ITEMS, "id")

    def test_a_snapshot_may_be_left(self, place: Place) -> None:
        source = place.make(ITEMS, "id")
        batches = source.snapshot()
        next(batches)
        del batches

        self.check_equal(self.read(source), ITEMS, "id")

    def test_threads_may_read_at_once(self, place: Place) -> None:
        source = place.make(ITEMS, "id")
        with ThreadPoolExecutor(4) as pool:
            results = list(pool.map(lambda _: self.read(source), range(8)))

        for result in results:
            self.check_equal(result, ITEMS, "id")

    def test_many_rows_come_in_batches(self, place: Place) -> None:
        numbers = list(range(self.many_rows))
        source = place.make(pa.table({"id": numbers, "text": [f"text {n}" for n in numbers]}), "id")
        rows = largest = total = 0
        for batch in source.snapshot():
            rows, largest = rows + batch.num_rows, max(largest, batch.num_rows)
            total += sum(batch.column("id").to_pylist())

        assert rows == self.many_rows
        assert total == sum(numbers)
        assert largest < self.many_rows

    def test_a_table_without_rows_has_a_schema(self, place: Place) -> None:
        source = place.make(ITEMS.slice(0, 0), "id")

        assert self.read(source).num_rows == 0
        assert set(source.schema().names) >= {"id", "price"}
        assert source.rows() == 0

    def test_rows_is_zero_or_about_right(self, place: Place) -> None:
        assert place.make(ITEMS, "id").rows() in {0, 3}

    @needs("row count")
    def test_rows_are_counted(self, place: Place) -> None:
        assert place.make(ITEMS, "id").rows() == 3

    @needs("order")
    def test_rows_keep_their_order_and_keys_may_repeat(self, place: Place) -> None:
        table = pa.table({"id": ["b", "a", "b", "c", "a"], "n": [1, 2, 3, 4, 5]})

        assert self.read(place.make(table, "id")).to_pylist() == table.to_pylist()

    @needs("null keys")
    def test_null_keys_are_counted(self, place: Place) -> None:
        table = pa.table({"id": ["a", None, None], "price": [1, 2, 3]})
        with self.refused("key column 'id' is null in 2 of 3 rows"):
            list(place.make(table, "id").snapshot())

    @needs("null keys")
    def test_null_keys_are_found_when_other_columns_are_asked_for(self, place: Place) -> None:
        table = pa.table({"id": pa.array([None, 5, 6], pa.int64()), "price": [1, 2, 3]})
        with self.refused("key column 'id' is null in 1 of 3 rows"):
            list(place.make(table, "id").snapshot(["price"]))

    def test_a_missing_key_column_is_named(self, place: Place) -> None:
        with self.refused("no key column 'item_id'.*price.*title"):
            place.make(ITEMS, "item_id").schema()

    def test_a_key_is_written_as_the_table_writes_it(self, place: Place) -> None:
        with self.refused("no key column 'ID'"):
            place.make(ITEMS, "ID").schema()

    def test_a_table_that_is_not_there_is_named(self, place: Place) -> None:
        with self.refused("no_such_table"):
            place.absent("id").schema()
        with self.refused("no_such_table"):
            list(place.absent("id").snapshot())

    def test_keys_keep_their_values(self, place: Place, key_kind: str) -> None:
        table = pa.table({"id": KEYS[key_kind], "n": [1, 2, 3]})

        self.check_equal(self.read(place.make(table, "id")), table, "id")

    def test_types_are_kept(self, place: Place, type_name: str) -> None:
        values = TYPES[type_name]
        table = pa.table({"id": [1, 2, 3, 4], "value": values})
        source = place.make(table, "id")
        result = by_key(self.read(source), "id")

        assert source.schema().field("value").type == self.reads_as.get(type_name, values.type)
        # Texts of values: a NaN equals itself there, and -0.0 is not 0.0.
        assert [repr(result[key]["value"]) for key in (1, 2, 3, 4)] == [repr(v) for v in values.to_pylist()]

    def test_names_of_columns_may_be_any_text(self, place: Place) -> None:
        table = pa.table({"id": [1], "Größe": [2], 'a "b"; --': [3], "select": [4], "Price": [5], "a b": [6]})

        self.check_equal(self.read(place.make(table, "id")), table, "id")
        self.check_equal(
            self.read(place.make(table, "id", "again"), ['a "b"; --', "Price"]),
            table.select(["id", 'a "b"; --', "Price"]),
            "id",
        )

    def test_a_moment_of_one_table_is_one_of_all_tables_of_the_origin(self, place: Place) -> None:
        first, second = place.make(ITEMS, "id", "first"), place.make(ITEMS, "id", "second")
        with first.moment() as moment:
            assert moment.origin == first.origin
            self.check_equal(self.read(first, at=moment), ITEMS, "id")
            self.check_equal(self.read(first, ["price"], at=moment), ITEMS.select(["id", "price"]), "id")
            if second.origin == first.origin:
                self.check_equal(self.read(second, at=moment), ITEMS, "id")

    @needs("moments")
    def test_what_is_written_while_a_moment_is_held_is_not_seen_at_it(self, place: Place) -> None:
        source = place.make(ITEMS, "id")
        later = pa.table({**{n: ITEMS[n] for n in ITEMS.schema.names}, "clicks": pa.array([7, 7, 7])})
        with source.moment() as moment:
            place.upsert(source, later)
            place.delete(source, pa.array(["c"]))

            self.check_equal(self.read(source, at=moment), ITEMS, "id")
        assert by_key(self.read(source), "id").keys() == {"a", "b"}

    def test_it_may_be_closed_twice(self, place: Place) -> None:
        source = place.make(ITEMS, "id")
        list(source.snapshot())
        source.close()
        source.close()
