"""What a source with the ability "changes" promises: a snapshot and all changes since are the table."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
from tests.sources.place import Expected, Place, applied, as_feed, by_key, needs


def items(keys: list[int], n: int) -> pa.Table:
    return pa.table(
        {"id": pa.array(keys, pa.int64()), "n": pa.array([n] * len(keys), pa.int64()), "t": ["x"] * len(keys)}
    )


class Changing(Expected):
    @needs("changes")
    def test_what_is_written_after_the_snapshot_appears(self, place: Place) -> None:
        feed = as_feed(place.make(items([1, 2, 3], 0), "id"))
        with feed.moment() as moment:
            cursor = feed.cursor(at=moment)
            rows = by_key(self.read(feed, at=moment), "id")
        place.upsert(feed, items([2, 4], 1))

        for answer in self.follow(feed, cursor):
            rows = applied(rows, answer, "id", self.own_columns)
        assert rows == by_key(items([1, 2, 3], 0), "id") | by_key(items([2, 4], 1), "id")

    @needs("changes")
    def test_what_is_written_between_cursor_and_snapshot_appears(self, place: Place) -> None:
        feed = as_feed(place.make(items([1, 2], 0), "id"))
        with feed.moment() as moment:
            cursor = feed.cursor(at=moment)
            place.upsert(feed, items([2, 3], 1))
            rows = by_key(self.read(feed, at=moment), "id")

        for answer in self.follow(feed, cursor):
            rows = applied(rows, answer, "id", self.own_columns)
        assert rows == by_key(items([1], 0), "id") | by_key(items([2, 3], 1), "id")

    @needs("changes")
    def test_changes_have_the_columns_asked_for(self, place: Place) -> None:
        feed = as_feed(place.make(items([1], 0), "id"))
        cursor = feed.cursor()
        place.upsert(feed, items([1], 1))
        upserts = [b for answer in self.follow(feed, cursor, ["n", "absent"]) for b in answer.upserts]

        assert {tuple(sorted(batch.schema.names)) for batch in upserts} == {("id", "n")}
        assert by_key(pa.Table.from_batches(upserts), "id") == {1: {"id": 1, "n": 1}}

    @needs("changes")
    def test_changes_have_the_types_of_the_schema(self, place: Place) -> None:
        feed = as_feed(place.make(items([1], 0), "id"))
        cursor = feed.cursor()
        place.upsert(feed, items([1, 2], 1))

        for answer in self.follow(feed, cursor):
            for batch in answer.upserts:
                assert batch.schema.equals(feed.schema())

    @needs("changes", "once")
    def test_a_change_appears_once(self, place: Place) -> None:
        feed = as_feed(place.make(items([1], 0), "id"))
        place.upsert(feed, items([1], 1))
        cursor = feed.cursor()
        place.upsert(feed, items([2], 2))
        first, second = feed.changes(cursor), feed.changes(feed.changes(cursor).cursor)

        assert [row["id"] for batch in first.upserts for row in batch.to_pylist()] == [2]
        assert sum(batch.num_rows for batch in second.upserts) == 0
        assert second.cursor == first.cursor

    @needs("changes", "once")
    def test_without_changes_the_answer_is_empty_and_the_cursor_stays(self, place: Place) -> None:
        feed = as_feed(place.make(items([1], 0), "id"))
        cursor = feed.cursor()
        answer = feed.changes(cursor)

        assert sum(batch.num_rows for batch in answer.upserts) == 0
        assert answer.deleted is None or len(answer.deleted) == 0
        assert (answer.cursor, answer.more) == (cursor, False)

    @needs("changes")
    def test_the_same_changes_may_be_read_and_applied_again(self, place: Place) -> None:
        feed = as_feed(place.make(items([1, 2, 3], 0), "id"))
        cursor = feed.cursor()
        place.upsert(feed, items([2], 1))
        place.upsert(feed, items([2, 4], 2))
        once = twice = by_key(items([1, 2, 3], 0), "id")
        for answer in self.follow(feed, cursor):
            once = applied(once, answer, "id", self.own_columns)
        for answer in [*self.follow(feed, cursor), *self.follow(feed, cursor)]:
            twice = applied(twice, answer, "id", self.own_columns)

        assert once == twice == by_key(items([1, 3], 0), "id") | by_key(items([2, 4], 2), "id")

    @needs("changes", "deletes")
    def test_deletes_appear(self, place: Place) -> None:
        feed = as_feed(place.make(items([1, 2, 3], 0), "id"))
        cursor = feed.cursor()
        place.delete(feed, pa.array([1, 3], pa.int64()))
        rows = by_key(items([1, 2, 3], 0), "id")
        for answer in self.follow(feed, cursor):
            assert answer.deleted is not None
            assert answer.deleted.type == feed.schema().field("id").type
            rows = applied(rows, answer, "id", self.own_columns)

        assert rows.keys() == {2} == by_key(self.read(feed), "id").keys()

    @needs("changes", "deletes")
    def test_the_last_that_happened_to_a_key_counts(self, place: Place) -> None:
        feed = as_feed(place.make(items([1, 2], 0), "id"))
        cursor = feed.cursor()
        place.upsert(feed, items([1, 2], 1))
        place.delete(feed, pa.array([1, 2], pa.int64()))
        place.upsert(feed, items([2], 2))
        rows = by_key(items([1, 2], 0), "id")
        for answer in self.follow(feed, cursor):
            upserted = {key for batch in answer.upserts for key in batch.column("id").to_pylist()}
            deleted = set(answer.deleted.to_pylist()) if answer.deleted is not None else set()
            assert not upserted & deleted
            rows = applied(rows, answer, "id", self.own_columns)

        assert rows == by_key(items([2], 2), "id")

    @needs("changes", "pages")
    def test_long_answers_come_in_parts(self, place: Place) -> None:
        feed = as_feed(place.make(items([0], 0), "id"))
        cursor = feed.cursor()
        half = self.page_rows // 2 + 1
        for n in range(6):
            place.upsert(feed, items(list(range(n * half, (n + 1) * half)), n))
        answers = list(self.follow(feed, cursor))
        rows = by_key(items([0], 0), "id")
        for answer in answers:
            rows = applied(rows, answer, "id", self.own_columns)

        assert len(answers) > 1
        assert [answer.more for answer in answers] == [True] * (len(answers) - 1) + [False]
        assert rows == by_key(self.read(feed), "id")

    @needs("changes")
    def test_following_from_any_moment_gives_the_table(self, place: Place) -> None:
        chance = random.Random(7)
        feed = as_feed(place.make(items(list(range(10)), 0), "id"))
        cursor, rows = feed.cursor(), by_key(self.read(feed), "id")
        for n in range(1, 25):
            keys = chance.sample(range(20), chance.randint(1, 5))
            if "deletes" in self.can and chance.random() < 0.3:
                place.delete(feed, pa.array(keys, pa.int64()))
            else:
                place.upsert(feed, items(keys, n))
            if chance.random() < 0.5:
                for answer in self.follow(feed, cursor):
                    rows, cursor = applied(rows, answer, "id", self.own_columns), answer.cursor
                assert rows == by_key(self.read(feed), "id")

    @needs("changes")
    def test_a_cursor_outlives_the_source_that_gave_it(self, place: Place) -> None:
        """It is text that can be kept in a file."""
        feed = as_feed(place.make(items([1], 0), "id"))
        cursor = feed.cursor()
        place.upsert(feed, items([2], 1))

        assert cursor.isprintable()
        assert not self.secret or self.secret not in cursor
        for answer in self.follow(feed, "".join(cursor)):
            assert [key for b in answer.upserts for key in b.column("id").to_pylist()][-1:] == [2]

    @needs("changes")
    def test_an_unknown_cursor_is_refused(self, place: Place) -> None:
        feed = as_feed(place.make(items([1], 0), "id"))
        for cursor in ["", "no such cursor", "'; DROP TABLE items; --", "999999999999:x"]:
            with self.refused("cursor"):
                feed.changes(cursor)

    @needs("changes")
    def test_the_watermark_never_goes_back(self, place: Place) -> None:
        feed = as_feed(place.make(items([1], 0), "id"))
        cursor, marks = feed.cursor(), [0.0]
        for n in range(3):
            place.upsert(feed, items([n], n))
            answer = feed.changes(cursor)
            cursor = answer.cursor
            if answer.watermark is not None:
                marks.append(answer.watermark)

        assert marks == sorted(marks)

    @needs("changes", "waits")
    def test_a_reader_that_waits_is_told_of_the_first_change(self, place: Place) -> None:
        feed = as_feed(place.make(items([1], 0), "id"))
        cursor = feed.cursor()
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(feed.changes, cursor, wait_seconds=60.0)
            place.upsert(feed, items([2], 1))
            answer = waiting.result()

        assert [key for batch in answer.upserts for key in batch.column("id").to_pylist()] == [2]

    @needs("changes")
    def test_waiting_ends(self, place: Place) -> None:
        feed = as_feed(place.make(items([1], 0), "id"))

        assert not feed.changes(feed.cursor(), wait_seconds=0.01).more
