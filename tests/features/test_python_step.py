"""Python functions as kernels: applied once per value, shared by threads, bounded, and never a crash."""

from __future__ import annotations

import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from recserve._core import Bucketizer, FeaturePlan, PythonStep, Rules, Side, Step, StepInput
from recserve.columns import Batch, Column, batch_from_arrow, column_from_arrow, to_arrow
from recserve.errors import DataError, RequestError
from recserve.features.python_step import Unit, kernel, texts_of

if TYPE_CHECKING:
    from collections.abc import Callable

MANY, FEW = 200, 3  # rows for which a plan frees the interpreter, and for which it does not


class Calls:
    """A function that counts the values it is called for."""

    def __init__(self, function: Callable[..., pa.Array] = pc.utf8_upper) -> None:
        self.function = function
        self.columns: list[list[pa.Array]] = []

    def __call__(self, *columns: pa.Array) -> pa.Array:
        self.columns.append(list(columns))
        return self.function(*columns)

    @property
    def values(self) -> list[Any]:
        return [value for columns in self.columns for value in columns[0].to_pylist()]


def rules(*, discrete: bool = True, default: str = "", limit: int = 0) -> Rules:
    return Rules.make(
        discrete=discrete,
        value_type=Bucketizer.ValueType.FLOAT32,
        limit=limit,
        width=0 if discrete else 1,
        weighted=False,
        prefix="",
        default_value=default,
        default_count=1,
        separator="\x1d",
        normalizer="",
        bucketizer=Bucketizer(),
    )


def plan_of(step: Any, *inputs: str, **keys: Any) -> FeaturePlan:
    """One feature 'f' that reads context columns."""
    sources = [StepInput(side=Side.CONTEXT, name=name) for name in inputs or ("x",)]
    steps = [Step(name="f", kernel=step, rules=rules(**keys), inputs=sources)]
    return FeaturePlan(steps, [], [], False)


def run(plan: FeaturePlan, **columns: Any) -> list[Any]:
    arrays = {name: pa.array(cells) for name, cells in columns.items()}
    rows = max(map(len, arrays.values()))
    result = plan.columns(Batch(1), batch_from_arrow(arrays), Batch(rows), Batch(rows), [], rows, [0])
    cells: list[Any] = to_arrow(result["f"]).to_pylist()
    return cells


def test_every_token_is_looked_at_once() -> None:
    calls = Calls()
    plan = plan_of(kernel(calls, Unit.TOKEN, separator="|"))

    for _ in range(2):
        assert run(plan, x=["a|b\x1da", None, "", "b", "a"]) == [["A", "B", "A"], [], [], ["B"], ["A"]]

    assert calls.values == ["a", "b"]
    assert run(plan, x=[["a", "c"]]) == [["A", "C"]]
    assert run(plan, x=[7]) == [["7"]]
    assert calls.values == ["a", "b", "c", "7"]


def test_a_text_is_one_value_whatever_is_in_it() -> None:
    plan = plan_of(kernel(pc.utf8_upper, Unit.TEXT))

    assert run(plan, x=["a\x1db", None, "", "c"]) == [["A\x1dB"], [], [], ["C"]]
    assert run(plan, x=[5.25]) == [["5.25"]]
    with pytest.raises(RequestError, match="feature 'f' reads column 'x', which is a list; a text is wanted"):
        run(plan, x=[["a"]])
    maps = pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64()))
    with pytest.raises(RequestError, match="feature 'f' reads column 'x', which is a map"):
        run(plan, x=maps)


def test_cells_are_rows_of_all_inputs_with_null_for_what_is_missing() -> None:
    calls = Calls(lambda x, y: pc.add(x, pc.list_value_length(y)))
    plan = plan_of(kernel(calls, Unit.CELLS), "x", "y", discrete=False)
    lists = [["a"], ["a", "b"], [], ["a"], None]

    result = run(plan, x=[1, 1, 1, 1, 7], y=lists)

    assert result == [2.0, 3.0, 0.0, 2.0, 0.0]
    assert [column.to_pylist() for column in calls.columns[0]] == [
        [1, 1, 1, 7],
        [["a"], ["a", "b"], None, None],
    ]


def test_equal_looking_cells_of_other_types_are_other_values() -> None:
    plan = plan_of(kernel(lambda x: pa.array([str(x.type)] * len(x)), Unit.CELLS))

    assert run(plan, x=["7"]) == [["string"]]
    assert run(plan, x=[7]) == [["int64"]]
    assert run(plan, x=[7.0]) == [["double"]]
    assert run(plan, x=[[7]]) == [["list<item: int64>"]]


def test_cells_that_share_bytes_are_told_apart() -> None:
    calls = Calls(lambda x, y: pc.binary_join_element_wise(x, y, "+"))
    plan = plan_of(kernel(calls, Unit.CELLS), "x", "y")

    assert run(plan, x=["a", "ab"], y=["bc", "c"]) == [["a+bc"], ["ab+c"]]


@pytest.mark.parametrize(
    ("results", "discrete", "expected"),
    [
        (pa.array(["p", None]), True, [["p"], ["d"]]),
        (pa.array(["p", ""]), True, [["p"], ["d"]]),
        (pa.array([["p", "", "q"], []]), True, [["p", "q"], ["d"]]),
        (pa.array([1, None]), True, [["1"], ["d"]]),
        (pa.array([0.5, 2.0]), True, [["0.5"], ["2"]]),
        (pa.array([True, False]), True, [["1"], ["0"]]),
        (pa.chunked_array([["p"], ["q"]]), True, [["p"], ["q"]]),
        (pa.array(["x", "p", "q"]).slice(1), True, [["p"], ["q"]]),
        (pa.array(["p", "q"]).dictionary_encode(), True, [["p"], ["q"]]),
        (pa.array([1, None]), False, [1.0, 3.0]),
        (pa.array([[0.5], []]), False, [0.5, 3.0]),
        (pa.nulls(2), False, [3.0, 3.0]),
    ],
)
def test_results_are_values_or_lists_of_them(results: Any, discrete: bool, expected: list[Any]) -> None:
    step = kernel(lambda x: results, Unit.TOKEN)
    plan = plan_of(step, discrete=discrete, default="d" if discrete else "3")

    assert run(plan, x=["a", "b"]) == expected


def test_a_stand_in_is_what_a_row_without_result_gets() -> None:
    plan = plan_of(kernel(pc.utf8_trim_whitespace, Unit.TEXT, stand_in=" d "))

    assert run(plan, x=["a ", "  ", None, ""]) == [["a"], ["d"], ["d"], ["d"]]


def raising(error: BaseException) -> Callable[[pa.Array], pa.Array]:
    def function(_: pa.Array) -> pa.Array:
        raise error

    return function


class SpeechlessError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even this")


@pytest.mark.parametrize("rows", [FEW, MANY])
@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        (
            raising(KeyError("k")),
            DataError,
            r"has a Python step that raised KeyError: 'k' \(test_python_step.py, line ",
        ),
        (raising(ValueError("v")), RequestError, "has a Python step that raised ValueError: v"),
        (raising(ValueError()), RequestError, r"has a Python step that raised ValueError \("),
        (raising(SpeechlessError()), DataError, r"has a Python step that raised SpeechlessError \("),
        (raising(RequestError("is told 'no'")), RequestError, "is told 'no'"),
        (raising(DataError("is broken")), DataError, "is broken"),
        (lambda x: x.to_pylist(), DataError, "gave list; an Arrow array is wanted"),
        (lambda _: pa.array(["a"]), DataError, r"gave 1 results for \d+ values"),
        (
            lambda x: pa.array([[["a"]]] * len(x)),
            DataError,
            "gave a nested column; a value or a list of values",
        ),
        (
            lambda x: pa.array([{"a": 1}] * len(x)),
            DataError,
            r"'result of the Python step'.*Arrow type struct",
        ),
    ],
)
def test_what_goes_wrong_in_python_is_an_error_that_names_the_feature(
    rows: int, function: Callable[..., Any], error: type[Exception], message: str
) -> None:
    plan = plan_of(kernel(function, Unit.TOKEN))
    with pytest.raises(error, match=f"^feature 'f' .*{message}"):
        run(plan, x=[str(row) for row in range(rows)])


def test_an_exception_that_ends_the_process_goes_on() -> None:
    plan = plan_of(kernel(raising(KeyboardInterrupt()), Unit.TOKEN))

    with pytest.raises(KeyboardInterrupt):
        run(plan, x=["a"])


def test_texts_are_no_numbers() -> None:
    plan = plan_of(kernel(pc.utf8_upper, Unit.TOKEN), discrete=False)

    with pytest.raises(
        DataError, match="feature 'f' has a Python step that gave texts where numbers are wanted"
    ):
        run(plan, x=["a"])


def test_a_native_function_has_to_give_a_column() -> None:
    def nothing(_: Column) -> Any:
        return None

    with pytest.raises(DataError, match="gave no Column"):
        run(plan_of(PythonStep(nothing, Unit.TOKEN)), x=["a"])


def test_a_failed_value_is_tried_again() -> None:
    answers: list[Any] = [ValueError("busy"), pa.array(["ok"])]

    def function(_: pa.Array) -> pa.Array:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    plan = plan_of(kernel(function, Unit.TOKEN))
    with pytest.raises(RequestError):
        run(plan, x=["a"])

    assert run(plan, x=["a"]) == [["ok"]]


def native(function: Callable[[pa.Array], pa.Array], **bounds: Any) -> PythonStep:
    return PythonStep(lambda column: column_from_arrow(function(to_arrow(column))), Unit.TOKEN, **bounds)


def test_memory_is_bounded_by_the_number_of_values() -> None:
    calls = Calls()
    step = native(calls, max_keys=100)
    plan = plan_of(step)

    for start in range(0, 1000, 40):
        values = [f"v{number}" for number in range(start, start + 40)]
        assert run(plan, x=values) == [[value.upper()] for value in values]
        assert 0 < step.memo_keys <= 100

    assert len(calls.values) == 1000
    assert run(plan, x=["w"] * FEW) == [["W"]] * FEW  # what was forgotten is no harm


def test_memory_is_bounded_in_bytes() -> None:
    step = native(pc.utf8_upper, max_bytes=100_000)
    plan = plan_of(step)

    for number in range(30):
        run(plan, x=[f"{number}" + "x" * 10_000])
        assert 0 < step.memo_bytes <= 100_000

    assert run(plan, x=["y" * 200_000]) == [["Y" * 200_000]]  # more than fits at all: not kept
    assert 0 < step.memo_bytes <= 100_000


def test_a_result_that_is_a_slice_does_not_keep_the_whole() -> None:
    step = native(lambda x: pa.array(["z" * 1_000_000, "a"]).slice(1, len(x)))

    assert run(plan_of(step), x=["a"]) == [["a"]]
    assert step.memo_bytes < 1000


@pytest.mark.parametrize("rows", [FEW, MANY])
def test_eight_threads_with_new_values_get_what_one_gets(rows: int) -> None:
    """The memo starts over all the time, and every thread meets values that no other has asked for."""
    step = native(lambda x: pa.array([text.upper() for text in texts_of(x)]), max_keys=300)
    plan = plan_of(step)
    together = threading.Barrier(8)

    def work(thread: int) -> bool:
        together.wait()
        right = True
        for turn in range(60):
            values = [f"v{(thread * 7 + turn * 31 + row) % 2000}" for row in range(rows)]
            right &= run(plan, x=values) == [[value.upper()] for value in values]
        return right

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(8))) == [True] * 8


def test_threads_share_what_was_computed() -> None:
    calls = Calls()
    plan = plan_of(kernel(calls, Unit.TOKEN))
    values = [f"v{row}" for row in range(MANY)]
    run(plan, x=values)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: run(plan, x=values), range(32)))

    assert len(calls.columns) == 1


def test_the_function_lives_as_long_as_the_plan_and_no_longer() -> None:
    calls = Calls()
    seen = weakref.ref(calls)
    plan = plan_of(kernel(calls, Unit.TOKEN))
    del calls
    gc.collect()
    assert seen() is not None
    run(plan, x=["a"])

    # The last one to let go may be a thread that does not hold the interpreter.
    with ThreadPoolExecutor(1) as pool:
        plans = [plan]
        del plan
        pool.submit(plans.clear).result()
    gc.collect()

    assert seen() is None


def test_bytes_that_are_no_utf8_are_a_replacement_character() -> None:
    broken = pa.Array.from_buffers(pa.string(), 1, pa.array([b"a\xff"]).buffers())

    assert texts_of(broken) == ["a�"]
