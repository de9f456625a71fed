"""Tensors without feature generation (bypass), items 21 to 26."""

from __future__ import annotations

import struct
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from tests.conformance.asking import PredictRequest, PredictResponse, post
from tests.conformance.models import Twice, Types
from tests.engines.models import write
from tests.server.conftest import Running, running_bundle
from tests.wire.random_messages import message, tag

if TYPE_CHECKING:
    from collections.abc import Iterator

FLOAT, DOUBLE, INT32, UINT8, INT16, INT8, INT64 = 1, 2, 3, 4, 5, 6, 9
FIELD = {FLOAT: "float_val", DOUBLE: "double_val", INT64: "int64_val"}  # the others: int_val
SERVICE = {"name": "rank", "token": "token", "model_config": {"fg_mode": "bypass"}}


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Running]]:
    folder = tmp_path_factory.mktemp("tensors")
    some = {**SERVICE, "model_config": {"fg_mode": "bypass", "outputs": "half,float"}}
    with ExitStack() as stack:
        yield {
            "types": stack.enter_context(running_bundle(write(folder / "types", Types()), SERVICE)),
            "some": stack.enter_context(running_bundle(folder / "types", some)),
            "twice": stack.enter_context(running_bundle(write(folder / "twice", Twice()), SERVICE)),
        }


def fill(array: Any, dtype: int, dims: list[int], values: list[Any]) -> None:
    array.dtype = dtype
    array.array_shape.dim.extend(dims)
    getattr(array, FIELD.get(dtype, "int_val")).extend(values)


def placed(*arrays: tuple[int, list[int], list[Any]], fetch: tuple[int, ...] = ()) -> Any:
    request = PredictRequest(output_filter=fetch)
    for array in arrays:
        fill(request.inputs.add(), *array)
    return request


def named(**arrays: tuple[int, list[int], list[Any]]) -> Any:
    request = PredictRequest()
    for name, array in arrays.items():
        fill(request.map_inputs[name], *array)
    return request


def answer(service: Running, request: Any) -> Any:
    response = post(service, request)
    assert response.status == 200, response.data
    return PredictResponse.FromString(response.data)


def refusal(service: Running, request: Any) -> str:
    response = post(service, request)
    assert response.status == 400, response.data
    return response.data.decode()


X, Y = (FLOAT, [2], [1.0, 2.0]), (INT64, [2], [10, 20])


@pytest.mark.parametrize("dtype", [FLOAT, DOUBLE, INT8, INT16, INT32, INT64, UINT8])
def test_21_each_dtype_is_taken_by_position_and_by_name(services: dict[str, Running], dtype: int) -> None:
    x = (dtype, [2], [1, 2])

    by_place, by_name = answer(services["twice"], placed(x, Y)), answer(services["types"], named(x=x))

    assert list(by_place.outputs[0].float_val) == [11, 22]
    assert list(by_name.map_outputs["float"].float_val) == [1, 2]


def test_22_outputs_are_of_types_that_clients_read_and_their_shapes_fit(services: dict[str, Running]) -> None:
    outputs = answer(services["types"], named(x=X)).map_outputs

    assert {name: array.dtype for name, array in outputs.items()} == {
        "float": FLOAT, "double": DOUBLE, "half": FLOAT, "bfloat": FLOAT, "flag": UINT8, "byte": UINT8,
        "int": INT32, "long": INT64, "rows": FLOAT, "total": FLOAT,
    }  # fmt: skip
    assert list(outputs["flag"].int_val) == [0, 1]
    assert list(outputs["half"].float_val) == list(outputs["bfloat"].float_val) == [1, 2]
    assert list(outputs["rows"].array_shape.dim) == [2, 2]
    for array in outputs.values():
        assert array.HasField("array_shape")
        count = 1
        for size in array.array_shape.dim:
            count *= size
        assert len(getattr(array, FIELD.get(array.dtype, "int_val"))) == count


def test_23_the_filter_chooses_and_orders_outputs(services: dict[str, Running]) -> None:
    def firsts(*fetch: int) -> list[float]:
        return [array.float_val[0] for array in answer(services["twice"], placed(X, Y, fetch=fetch)).outputs]

    assert firsts() == [11, 2]
    assert firsts(1, 0) == [2, 11]
    assert firsts(1, 1) == [2, 2]
    assert "output_filter 2" in refusal(services["twice"], placed(X, Y, fetch=(2,)))
    assert "output_filter -1" in refusal(services["twice"], placed(X, Y, fetch=(-1,)))


def test_24_inputs_by_name_are_answered_by_name_and_outputs_may_be_restricted(
    services: dict[str, Running],
) -> None:
    assert list(answer(services["twice"], named(x=X, y=Y)).map_outputs["output_0"].float_val) == [11, 22]
    assert set(answer(services["some"], named(x=X)).map_outputs) == {"half", "float"}


@pytest.mark.parametrize(
    ("array", "said"),
    [
        ((FLOAT, [3], [1.0, 2.0]), "asks for 3 values, but 2 came"),
        ((FLOAT, [1], [1.0, 2.0]), "asks for 1 values, but 2 came"),
        ((FLOAT, [-2], [1.0, 2.0]), "-2"),
        ((FLOAT, [2**40, 2**40], [1.0, 2.0]), "impossible shape"),
        ((0, [], []), "x"),
        ((INT8, [1], [300]), "300"),
    ],
)
def test_25_what_does_not_fit_is_400_by_the_inputs_name(
    services: dict[str, Running], array: Any, said: str
) -> None:
    text = refusal(services["types"], named(x=array))

    assert "'x'" in text
    assert said in text


def test_25_a_gap_in_the_positions_is_400_by_name(services: dict[str, Running]) -> None:
    assert "'x'" in refusal(services["twice"], placed((0, [], []), Y))
    assert "'y'" in refusal(services["twice"], placed(X))


def test_26_unpacked_values_are_read(services: dict[str, Running]) -> None:
    shape = message(2, tag(1, 0) + b"\x02")  # one dim, unpacked too
    values = b"".join(tag(3, 5) + struct.pack("<f", value) for value in (1.0, 2.0))
    body = message(3, message(1, b"x") + message(2, tag(1, 0) + b"\x01" + shape + values))

    assert list(answer(services["types"], body).map_outputs["float"].float_val) == [1, 2]
