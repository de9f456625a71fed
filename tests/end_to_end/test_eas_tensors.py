"""The unmodified EAS client sends tensors to a model without feature generation (fg_mode bypass)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.end_to_end.conftest import Eas
from tests.end_to_end.echo import Positional, service
from tests.engines.models import write

from recserve.testing import serve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.end_to_end.conftest import EasClient

    from recserve.testing import RunningServer

FLOAT, DOUBLE, INT32, UINT8, INT16, INT8, INT64 = 1, 2, 3, 4, 5, 6, 9


@pytest.fixture(scope="module")
def positional(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("positional")
    bundle = write(folder / "bundle", Positional())
    with serve(bundle, service(folder, fg_mode="bypass", remote_type=None, tables=None)) as server:
        yield server


@pytest.fixture
def eas(eas_client: EasClient, positional: RunningServer) -> Eas:
    return Eas(eas_client, positional)


TWO_ROWS = [
    ("add_feed", 0, [2, 3], INT64, [1, 2, 3, 4, 5, 6]),
    ("add_feed", 1, [2, 2, 2], FLOAT, [0.5, 1, 2, 4, 8, 16, 32, 64]),
    ("add_feed", 2, [2, 1], FLOAT, [0.25, 1]),
    ("add_feed", 3, [2], INT64, [100, 200]),
]
LABELS, SUMS = ([2], [106, 215]), ([2], [7.75, 121])


@pytest.mark.parametrize(("compressed", "rows"), [(False, 300), (True, 30)])  # the client takes its time
def test_the_documented_sample_is_answered_plain_and_compressed(
    eas: Eas, compressed: bool, rows: int
) -> None:
    answer = eas.run_tensors(
        ("add_feed", 0, [rows, 3], INT64, {"repeat": [1, 3 * rows]}),
        ("add_feed", 1, [rows, 10, 768], FLOAT, {"repeat": [1.0, 7680 * rows]}),
        ("add_feed", 2, [rows, 768], FLOAT, {"repeat": [1.0, 768 * rows]}),
        ("add_feed", 3, [rows], INT64, {"repeat": [1, rows]}),
        ("add_fetch", 0),
        ("set_debug_level", 903),
        compressed=compressed,
    )

    assert answer.tensors == [([rows], [4] * rows)]


@pytest.mark.parametrize("compressed", [False, True])
def test_every_output_comes_in_the_order_of_the_model(eas: Eas, compressed: bool) -> None:
    assert eas.run_tensors(*TWO_ROWS, compressed=compressed).tensors == [LABELS, SUMS]


def test_fetched_outputs_come_in_the_order_of_the_fetches(eas: Eas) -> None:
    answer = eas.run_tensors(*TWO_ROWS, ("add_fetch", 1), ("add_fetch", 0), ("add_fetch", 1))

    assert answer.tensors == [SUMS, LABELS, SUMS]


def test_inputs_may_be_fed_in_any_order(eas: Eas) -> None:
    assert eas.run_tensors(*reversed(TWO_ROWS)).tensors == [LABELS, SUMS]


def test_inputs_by_name_are_answered_by_name(eas: Eas) -> None:
    names = ("ids", "steps", "embedding", "label")
    by_name = [("add_feed_map", name, *feed[2:]) for name, feed in zip(names, TWO_ROWS, strict=True)]

    answer = eas.run_tensors(*by_name)

    assert answer.outputs == {"output_0": LABELS[1], "output_1": SUMS[1]}


@pytest.mark.parametrize("kind", [FLOAT, DOUBLE, INT32, UINT8, INT16, INT8, INT64])
def test_every_type_of_the_client_is_taken_and_its_answer_read(eas: Eas, kind: int) -> None:
    answer = eas.run_tensors(*TWO_ROWS[:3], ("add_feed", 3, [2], kind, [100, 20]))

    assert answer.tensors == [([2], [106, 35]), SUMS]


@pytest.mark.parametrize(
    ("calls", "said"),
    [
        (TWO_ROWS[:3], "label"),
        ([*TWO_ROWS[:2], TWO_ROWS[3]], "embedding"),  # a gap in the positions
        ([*TWO_ROWS, ("add_feed", 4, [1], INT64, [1])], "5 inputs by position, the model has 4"),
        (
            [("add_feed", 0, [2, 2], INT64, [1, 2, 3, 4, 5, 6]), *TWO_ROWS[1:]],
            "asks for 4 values, but 6 came",
        ),
        ([*TWO_ROWS, ("add_fetch", 2)], "output_filter 2"),
    ],
)
def test_what_does_not_fit_the_model_is_400_and_the_next_request_right(
    eas: Eas, calls: list[Any], said: str
) -> None:
    answer = eas.run_tensors(*calls)

    assert (answer.error, answer.code) == ("PredictException", 400), answer
    assert said in answer.message
    assert eas.run_tensors(*TWO_ROWS).tensors == [LABELS, SUMS]
