"""Operators of a user's own: found by name, given the whole feature, called for new rows alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from tests.features.conftest import Generate, tensors_of

from recserve.columns import Batch, batch_from_arrow, to_arrow
from recserve.errors import ConfigError, DataError, RequestError
from recserve.features import config, offline, operators
from recserve.features.generator import Generator

if TYPE_CHECKING:
    from pathlib import Path

FEATURE: dict[str, Any] = {
    "feature_type": "custom_feature",
    "feature_name": "f",
    "operator_name": "Counted",
    "operator_lib_file": "pyfg/lib/libcounted.so",
    "expression": ["item:x"],
    "value_type": "float",
}

Run = Callable[..., pa.Array]


class Counted:
    """An operator that counts for how many rows it was asked."""

    def __init__(self, run: Run = pc.utf8_length) -> None:
        self.run = run
        self.features: list[Mapping[str, Any]] = []
        self.calls: list[int] = []

    def __call__(self, feature: Mapping[str, Any]) -> Run:
        self.features.append(feature)
        return self._run

    def _run(self, *columns: pa.Array) -> pa.Array:
        self.calls.append(len(columns[0]))
        return self.run(*columns)


@pytest.fixture(autouse=True)
def _no_operator_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operators, "_makers", {})


def counted(run: Run = pc.utf8_length, name: str = "Counted") -> Counted:
    return operators.register(name)(Counted(run))


def generator_of(*features: dict[str, Any]) -> Generator:
    return Generator(config.load({"features": list(features)}))


def batch(**columns: list[Any]) -> Batch:
    return batch_from_arrow({name: pa.array(cells) for name, cells in columns.items()})


def test_an_operator_gets_the_whole_feature(generate: Generate) -> None:
    counter = counted()

    assert generate({**FEATURE, "window": 7.0, "need_key": True}, {"x": ["abc"]}) == {"values": [3.0]}

    assert counter.features == [{**FEATURE, "window": 7.0, "need_key": True}]


@pytest.mark.parametrize(
    ("run", "keys", "cells", "expected"),
    [
        (pc.utf8_length, {}, ["ab", None, "", "c"], {"values": [2.0, 0.0, 0.0, 1.0]}),
        (pc.utf8_length, {"default_value": "7"}, ["ab", None], {"values": [2.0, 7.0]}),
        (pc.utf8_length, {"normalizer": "method=minmax,min=0,max=4"}, ["ab"], {"values": [0.5]}),
        (pc.utf8_length, {"boundaries": [1, 3]}, ["", "ab"], {"values": [1], "lengths": [0, 1]}),
        (pc.utf8_length, {"num_buckets": 3, "value_type": "int64"}, ["ab"], {"values": [2], "lengths": [1]}),
        (
            lambda x: pc.split_pattern(x, ","),
            {"value_type": "string", "vocab_list": ["a", "b"], "value_dim": 0, "default_bucketize_value": 9},
            ["b,a,c", "a", None],
            {"values": [1, 0, 9, 0], "lengths": [3, 1, 0]},
        ),
        (
            lambda x: pa.array([[0.5, 1.5]] * len(x)),
            {"value_dim": 3},
            ["a"],
            {"values": [[0.5, 1.5, 0.0]]},
        ),
    ],
)
def test_results_go_through_the_rules_of_the_feature(
    generate: Generate, run: Run, keys: dict[str, Any], cells: list[Any], expected: dict[str, Any]
) -> None:
    counted(run)

    assert generate({**FEATURE, **keys}, {"x": cells}) == expected


def test_an_operator_sees_columns_as_they_are_and_nulls(generate: Generate) -> None:
    seen: list[list[pa.Array]] = []

    def run(*columns: pa.Array) -> pa.Array:
        seen.append(list(columns))
        return columns[0]

    counted(run)

    generate({**FEATURE, "expression": ["user:u", "item:x", "const:c"]}, {"u": [1, 2], "x": [["a"], []]})

    assert [(str(column.type), column.to_pylist()) for column in seen[0]] == [
        ("int64", [1, 2]),
        ("list<item: string>", [["a"], None]),
        ("string", ["c", "c"]),
    ]


def test_a_sequence_calls_it_for_elements(generate: Generate) -> None:
    keys = {**FEATURE, "default_value": "9"}
    counter = counted()

    assert generate({**keys, "is_sequence": True}, {"x": ["ab;;abc;ab", ""]}) == {
        "values": [2.0, 9.0, 3.0, 2.0, 9.0],
        "lengths": [4, 1],
    }
    assert sum(counter.calls) == 3  # ab, nothing, abc
    assert generate({**keys, "group": {}}, {"s__x": ["ab;;abc"]})["values"] == [2.0, 9.0, 3.0]


# --- rates ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [3, 200])
def test_an_item_feature_costs_a_request_no_call(rows: int) -> None:
    counter = counted()
    generator = generator_of(FEATURE)
    raw = batch(x=["x" * (row % 50) for row in range(rows)])
    finished = generator.finisher.finish(raw)
    counter.calls.clear()

    inputs = generator.generate(Batch(1), Batch(rows), Batch(rows), finished, {}, rows=rows)

    assert counter.calls == []
    assert tensors_of(inputs)["f.values"] == [float(row % 50) for row in range(rows)]
    assert tensors_of(generator.generate_joined(raw)) == tensors_of(inputs)


def test_a_constant_is_computed_when_the_model_is_loaded() -> None:
    counter = counted()
    generator = generator_of({**FEATURE, "expression": ["const:abc"]})
    assert counter.calls == [1]

    inputs = generator.generate(Batch(1), Batch(2), Batch(2), Batch(2), {}, rows=2)

    assert tensors_of(inputs) == {"f.values": [3.0, 3.0]}
    assert counter.calls == [1]


def test_user_and_pair_features_call_it_for_new_rows_alone() -> None:
    counter = counted(pc.binary_join_element_wise)
    keys = {**FEATURE, "value_type": "string", "hash_bucket_size": 1000}
    user = {**keys, "feature_name": "user", "expression": ["user:u", "user:v", "const:-"]}
    pair = {**keys, "feature_name": "pair", "expression": ["user:u", "item:x", "const:-"]}
    generator = generator_of(user, pair)

    def ask(u: str, items: list[str]) -> dict[str, Any]:
        rows = len(items)
        columns = batch(u=[u], v=["v"]), Batch(rows), batch(x=items), Batch(rows)
        return tensors_of(generator.generate(*columns, {}, rows=rows))

    first = ask("a", ["p", "q", "p"])
    assert counter.calls == [1, 2]
    assert ask("a", ["p", "q", "p"]) == first
    assert counter.calls == [1, 2]
    ask("b", ["p"])
    assert counter.calls == [1, 2, 1, 1]


def test_the_plan_marks_python_steps() -> None:
    counted()
    edit = {"feature_name": "e", "operator_name": "EditDistance", "expression": ["item:x", "user:x"]}
    regex = {"feature_type": "regex_replace_feature", "regex_pattern": "a", "expression": "item:x"}
    output, stub = {"feature_name": "r", "hash_bucket_size": 9}, {"feature_name": "s", "stub_type": True}
    generator = generator_of(FEATURE, {**FEATURE, **edit}, {**regex, **output}, {**regex, **stub})

    marked = {feature.name: feature.python_step for feature in generator.plan.features}

    assert marked == {"f": True, "e": False, "r": True, "s": True}


# --- threads ----------------------------------------------------------------------------------------------


def most_at_once(*, keys: dict[str, Any]) -> int:
    """How many of eight threads with values of their own were inside of the operator together."""
    inside, most = 0, 0
    change = threading.Lock()

    def run(texts: pa.Array) -> pa.Array:
        nonlocal inside, most
        with change:
            inside += 1
            most = max(most, inside)
        time.sleep(0.01)
        with change:
            inside -= 1
        return pc.utf8_length(texts)

    counted(run)
    generator = generator_of({**FEATURE, **keys})
    start = threading.Barrier(8)

    def work(thread: int) -> None:
        start.wait()
        for turn in range(3):
            result = generator.generate_joined(batch(x=[f"{thread} {turn}"]))
            assert tensors_of(result) == {"f.values": [3.0]}

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    return most


def test_an_operator_runs_in_one_thread_at_a_time_unless_it_says_that_it_is_safe() -> None:
    assert most_at_once(keys={}) == 1
    assert most_at_once(keys={"is_op_thread_safe": False}) == 1
    assert most_at_once(keys={"is_op_thread_safe": True}) > 1


# --- names ------------------------------------------------------------------------------------------------


def test_an_unknown_operator_says_what_is_known_and_how_to_register_one() -> None:
    counted(name="Mine")
    with pytest.raises(ConfigError) as error:
        config.load({"features": [FEATURE]})

    assert str(error.value) == (
        "feature 'f' (custom_feature): unknown operator_name 'Counted'; known: EditDistance, Mine, "
        "RegexReplace, SeqExpr; operator_lib_file 'pyfg/lib/libcounted.so' is never loaded; register one of "
        "your own with recserve.features.operators.register, or by an entry point of the group "
        "recserve.features"
    )


def test_a_built_in_operator_cannot_be_replaced() -> None:
    with pytest.raises(ConfigError, match="operator 'EditDistance' is built in"):
        operators.register("EditDistance")


def test_registering_again_replaces(generate: Generate) -> None:
    counted()
    counted(pc.utf8_upper)

    keys = {"value_type": "string", "vocab_list": ["?", "A"]}
    assert generate({**FEATURE, **keys}, {"x": ["a"]})["values"] == [1]


def test_an_installed_package_brings_operators(
    generate: Generate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "word_counts.py").write_text(
        "import pyarrow.compute as pc\n"
        "def make(feature):\n"
        "    return lambda texts: pc.list_value_length(pc.split_pattern(texts, feature['mark']))\n"
    )
    info = tmp_path / "word_counts-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: word-counts\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[recserve.features]\nWordCount = word_counts:make\nGone = word_counts:gone\n"
    )
    monkeypatch.syspath_prepend(tmp_path)

    assert generate({**FEATURE, "operator_name": "WordCount", "mark": "-"}, {"x": ["a-b-c"]}) == {
        "values": [3.0]
    }
    with pytest.raises(ConfigError, match="operator 'Gone' cannot be made: AttributeError"):
        generate({**FEATURE, "operator_name": "Gone"}, {"x": ["a"]})


def refusing(feature: Mapping[str, Any]) -> Run:
    raise ConfigError("window is missing")


def failing(feature: Mapping[str, Any]) -> Run:
    raise KeyError("window")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (refusing, r"^feature 'f' \(custom_feature\): window is missing$"),
        (failing, r"^feature 'f' \(custom_feature\): operator 'Counted' cannot be made: KeyError: 'window'$"),
        (lambda feature: 7, r"operator 'Counted' gave int, not a function of columns$"),
    ],
)
def test_an_operator_may_refuse_its_feature(make: Any, message: str) -> None:
    operators.register("Counted")(make)

    with pytest.raises(ConfigError, match=message):
        config.load({"features": [FEATURE]})


def test_what_an_operator_raises_is_the_request_s_or_the_table_s_fault() -> None:
    counted(lambda texts: pc.cast(texts, pa.int64()))
    generator = generator_of(FEATURE)
    wrong = batch(x=["1", "two"])

    message = "feature 'f' has a Python step that raised ArrowInvalid: .*'two'"
    with pytest.raises(RequestError, match=message):
        generator.generate(Batch(1), Batch(2), wrong, Batch(2), {}, rows=2)
    with pytest.raises(DataError, match=message):
        generator.finisher.finish(wrong)
    assert tensors_of(generator.generate_joined(batch(x=["1"]))) == {"f.values": [1.0]}
    with pytest.raises(ConfigError, match=message):
        generator_of({**FEATURE, "expression": ["const:two"]})


# --- RegexReplace -----------------------------------------------------------------------------------------


def test_regex_replace_is_an_operator_too(generate: Generate) -> None:
    feature = {
        **FEATURE,
        "operator_name": "RegexReplace",
        "regex_pattern": [r"\|", "#", r"\(.*\)"],
        "replacement": "",
        "vocab_list": ["abc"],
        "default_bucketize_value": 9,
    }

    assert generate(feature, {"x": ["a|b#c(d)", "a"]}) == {"values": [0, 9], "lengths": [1, 1]}
    sequence = {**feature, "is_sequence": True, "default_value": "x"}
    assert generate(sequence, {"x": ["abc;a"]}) == {"values": [0, 9], "lengths": [2]}
    with pytest.raises(ConfigError, match=r"regex_pattern .* is not what RE2 takes"):
        generate({**feature, "regex_pattern": "("}, {"x": ["a"]})
    with pytest.raises(ConfigError, match="expression has 2 inputs; RegexReplace takes one"):
        generate({**feature, "expression": ["item:x", "item:x"]}, {"x": ["a"]})


def test_online_is_offline() -> None:
    counted()
    generator = generator_of(FEATURE)
    cells = [f"{'x' * (row % 7)}" for row in range(500)]

    table = offline.run(generator, pa.table({"x": cells}), batch_rows=64)

    assert (
        table.column("f").to_pylist() == to_arrow(generator.generate_columns(batch(x=cells))["f"]).to_pylist()
    )
