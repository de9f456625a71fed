"""What the abilities "get", "profile" and "write" promise."""

from __future__ import annotations

import pyarrow as pa
from tests.sources.place import (
    KEYS,
    Expected,
    Place,
    as_feed,
    as_point_reads,
    as_profiled,
    as_sink,
    by_key,
    needs,
)
from tests.sources.reading import ITEMS


class Asking(Expected):
    @needs("get")
    def test_rows_come_in_the_order_of_the_keys(self, place: Place) -> None:
        source = as_point_reads(place.make(ITEMS, "id"))
        result = source.get(pa.array(["b", "nobody", "c", "b"]))

        assert result.column("id").to_pylist() == ["b", "nobody", "c", "b"]
        assert result.column("price").to_pylist() == [2.5, None, 1.5, 2.5]
        assert result.column("title").to_pylist() == [None, None, "first", None]
        assert set(result.schema.names) - self.own_columns == set(ITEMS.schema.names)

    @needs("get")
    def test_rows_have_the_columns_asked_for(self, place: Place) -> None:
        source = as_point_reads(place.make(ITEMS, "id"))
        result = source.get(pa.array(["a"]), ["clicks", "absent"])

        assert result.to_pylist() == [{"id": "a", "clicks": 2}]
        assert result.schema.field("clicks").type == pa.int64()

    @needs("get")
    def test_no_keys_give_no_rows(self, place: Place) -> None:
        source = as_point_reads(place.make(ITEMS, "id"))
        result = source.get(pa.array([], pa.string()), ["price"])

        assert result.num_rows == 0
        assert set(result.schema.names) == {"id", "price"}

    @needs("get")
    def test_rows_are_found_under_keys_of_any_kind(self, place: Place, key_kind: str) -> None:
        keys = KEYS[key_kind]
        source = as_point_reads(place.make(pa.table({"id": keys, "n": [1, 2, 3]}), "id"))
        result = source.get(keys.take(pa.array([2, 0, 1])), ["n"])

        assert result.column("id").equals(keys.take(pa.array([2, 0, 1])))
        assert result.column("n").to_pylist() == [3, 1, 2]

    @needs("get", "order")
    def test_of_equal_keys_the_later_row_is_found(self, place: Place) -> None:
        source = as_point_reads(place.make(pa.table({"id": ["a", "b", "a"], "n": [1, 2, 3]}), "id"))

        assert source.get(pa.array(["a", "b"])).column("n").to_pylist() == [3, 2]

    @needs("profile")
    def test_a_profile_counts_rows_and_nulls(self, place: Place) -> None:
        source = as_profiled(place.make(ITEMS, "id"))
        profile = source.profile(["price", "title", "id", "absent"])

        assert profile.rows == 3
        assert profile.nulls == {"price": 1, "title": 1, "id": 0}

    @needs("profile")
    def test_a_profile_of_an_empty_table_is_zero(self, place: Place) -> None:
        profile = as_profiled(place.make(ITEMS.slice(0, 0), "id")).profile(["price"])

        assert (profile.rows, profile.nulls) == (0, {"price": 0})

    @needs("profile", "moments")
    def test_a_profile_is_of_the_moment(self, place: Place) -> None:
        source = as_profiled(place.make(ITEMS, "id"))
        with source.moment() as moment:
            place.upsert(source, ITEMS.set_column(1, "id", pa.array(["x", "y", "z"])))

            assert source.profile(["price"], at=moment).rows == 3
        assert source.profile(["price"]).rows == 6

    @needs("write")
    def test_rows_are_written_under_their_keys(self, place: Place) -> None:
        source = as_sink(place.make(ITEMS, "id"))
        rows = ITEMS.slice(0, 2).set_column(1, "id", pa.array(["a", "new"]))

        assert source.write(rows) == 2
        expected = by_key(ITEMS, "id") | by_key(rows, "id")
        assert by_key(self.read(source), "id") == expected

    @needs("write")
    def test_replace_makes_columns_that_are_not_sent_null(self, place: Place) -> None:
        source = as_sink(place.make(ITEMS, "id"))
        source.write(pa.table({"id": ["a", "new"], "clicks": [9, 8]}))
        result = by_key(self.read(source), "id")

        assert result["a"] == {"id": "a", "price": None, "title": None, "clicks": 9}
        assert result["new"] == {"id": "new", "price": None, "title": None, "clicks": 8}
        assert result["c"] == by_key(ITEMS, "id")["c"]

    @needs("write")
    def test_merge_keeps_columns_that_are_not_sent(self, place: Place) -> None:
        source = as_sink(place.make(ITEMS, "id"))

        assert source.write(pa.table({"clicks": [9, 8], "id": ["c", "new"]}), mode="merge") == 2
        result = by_key(self.read(source), "id")
        assert result["c"] == {"id": "c", "price": 1.5, "title": "first", "clicks": 9}
        assert result["new"] == {"id": "new", "price": None, "title": None, "clicks": 8}

    @needs("write")
    def test_merge_writes_a_null_that_is_sent(self, place: Place) -> None:
        source = as_sink(place.make(ITEMS, "id"))
        source.write(pa.table({"id": ["c"], "price": pa.array([None], pa.float64())}), mode="merge")

        assert by_key(self.read(source), "id")["c"] == {
            "id": "c",
            "price": None,
            "title": "first",
            "clicks": 1,
        }

    @needs("write")
    def test_of_equal_keys_the_last_is_written(self, place: Place) -> None:
        source = as_sink(place.make(ITEMS, "id"))
        source.write(pa.table({"id": ["n", "n"], "clicks": [1, 2]}))
        source.write(pa.table({"id": ["c", "c"], "clicks": [5, 6]}), mode="merge")
        result = by_key(self.read(source), "id")

        assert (result["n"]["clicks"], result["c"]["clicks"]) == (2, 6)

    @needs("write")
    def test_nothing_can_be_written(self, place: Place) -> None:
        source = as_sink(place.make(ITEMS, "id"))

        assert source.write(ITEMS.slice(0, 0)) == 0
        assert source.write(ITEMS.slice(0, 0), mode="merge") == 0
        self.check_equal(self.read(source), ITEMS, "id")

    @needs("write")
    def test_numbers_that_fit_are_written_as_the_table_has_them(self, place: Place) -> None:
        source = as_sink(place.make(ITEMS, "id"))
        source.write(pa.table({"id": ["a"], "clicks": pa.array([4], pa.int32())}), mode="merge")

        assert by_key(self.read(source), "id")["a"]["clicks"] == 4
        assert source.schema().field("clicks").type == pa.int64()

    @needs("write")
    def test_wrong_rows_are_refused_and_nothing_is_written(self, place: Place) -> None:
        source = as_sink(place.make(ITEMS, "id"))
        for rows, match in [
            (pa.table({"price": [1.0]}), "no key column 'id'"),
            (pa.table({"id": ["n", None], "price": [1.0, 2.0]}), "key column 'id' is null in 1 of 2 rows"),
            (pa.table({"id": ["n"], "colour": ["red"]}), "'colour'"),
            (pa.table({"id": ["n", "m"], "clicks": ["1", "many"]}), "'clicks'"),
        ]:
            for mode in ("replace", "merge"):
                with self.refused(match):
                    source.write(rows, mode=mode)
        self.check_equal(self.read(source), ITEMS, "id")

    @needs("write", "changes")
    def test_what_is_written_appears_among_the_changes_as_complete_rows(self, place: Place) -> None:
        source = place.make(ITEMS, "id")
        cursor = as_feed(source).cursor()
        as_sink(source).write(pa.table({"id": ["c"], "clicks": [9]}), mode="merge")
        rows = [row for a in self.follow(as_feed(source), cursor) for b in a.upserts for row in b.to_pylist()]

        assert {name: rows[-1][name] for name in ITEMS.schema.names} == {
            "id": "c",
            "price": 1.5,
            "title": "first",
            "clicks": 9,
        }
