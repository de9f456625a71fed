"""Tensors in JSON: dtypes, shapes, and that nothing is cast in silence."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from recserve.errors import RequestError
from recserve.messages import TensorResponse
from recserve.wire.json_tensors import DTYPES, declared, decode, encode

if TYPE_CHECKING:
    from numpy.typing import NDArray


def read(value: Any, dtype: str | None = None) -> NDArray[Any]:
    return decode(json.dumps({"inputs": {"x": value}}).encode(), {"x": dtype}).named_inputs["x"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_comes_and_goes_as_it_is(dtype: str) -> None:
    values = np.array([[0, 1], [1, 0]]).astype(dtype)

    told = json.loads(encode(TensorResponse((), {"x": values})))["outputs"]["x"]
    found = read(told)

    assert (told["dtype"], told["shape"]) == (dtype, [2, 2])
    assert found.dtype == dtype
    assert np.array_equal(found, values)


@pytest.mark.parametrize(
    ("value", "declares", "expected"),
    [
        ([1, 2], None, np.array([1, 2], np.int64)),
        ([1, 2.5], None, np.array([1, 2.5], np.float32)),
        ([1, 2], "float32", np.array([1, 2], np.float32)),
        ([[1], [2]], "int32", np.array([[1], [2]], np.int32)),
        (3, None, np.array(3, np.int64)),
        ([], None, np.zeros(0, np.float32)),
        ([[], []], "int64", np.zeros((2, 0), np.int64)),
        ({"values": [1, 2, 3, 4], "shape": [2, 2]}, None, np.array([[1, 2], [3, 4]], np.int64)),
        ({"values": [], "shape": [0, 3], "dtype": "float64"}, None, np.zeros((0, 3))),
        ({"values": [1], "dtype": "int8"}, "float32", np.array([1], np.int8)),
    ],
)
def test_dtype_and_shape_are_those_sent_else_those_declared(
    value: Any, declares: str | None, expected: NDArray[Any]
) -> None:
    found = read(value, declares)

    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    assert np.array_equal(found, expected)


def test_inputs_by_position_take_the_declared_dtypes_in_their_order() -> None:
    types = declared([("a", "DT_INT32"), ("b", "DT_INVALID"), ("c", "DT_DOUBLE")])

    request = decode(b'{"inputs": [[1], [1], [1], null], "output_filter": [1, 0], "debug_level": 100}', types)

    dtypes = [None if tensor is None else tensor.dtype for tensor in request.inputs]
    assert dtypes == [np.int32, np.int64, np.float64, None]
    assert (request.output_filter, request.debug_level) == ([1, 0], 100)


def test_outputs_by_position_are_a_list_beside_those_by_name() -> None:
    told = json.loads(encode(TensorResponse([np.array([1])], {"y": np.array([1.5], np.float32)})))

    assert told["outputs_by_position"] == [{"dtype": "int64", "shape": [1], "values": [1]}]
    assert told["outputs"] == {"y": {"dtype": "float32", "shape": [1], "values": [1.5]}}


@pytest.mark.parametrize(
    ("value", "declares", "message"),
    [
        ([[1], [2, 3]], None, "lists differ in length"),
        (["1"], None, "a value is no number"),
        ([None], None, "a value is no number"),
        ([{}], None, "a value is no number"),
        ([2**64], None, "too large for 64 bits"),
        ([300], "int8", "does not fit int8, -128 to 127"),
        ([-1], "uint8", "does not fit uint8"),
        ([1.5], "int64", "int64 holds no fractions"),
        ([1], "bool", "bool holds no number"),
        ([1e300], "float32", "does not fit float32"),
        ({"values": [70000.0], "dtype": "float16"}, None, "does not fit float16"),
        ({"values": [1], "dtype": "complex64"}, None, "unknown dtype 'complex64'"),
        ({"values": [1], "dtype": ["int8"]}, None, "unknown dtype"),
        ({"dtype": "int8"}, None, "'values' is missing"),
        ({"values": [1], "size": 1}, None, "unknown key 'size'"),
        ({"values": [1], "shape": [2]}, None, r"1 values for the shape \[2\]"),
        ({"values": [1], "shape": [-1]}, None, "'shape' is a list of sizes"),
        ({"values": [1], "shape": [True]}, None, "'shape' is a list of sizes"),
        ({"values": [1], "shape": 1}, None, "'shape' is a list of sizes"),
        ({"values": [1], "shape": [1] * 40}, None, "40 dimensions; 32 are the most"),
        ({"values": [], "shape": [2**62, 2**62, 0]}, None, "too large"),
    ],
)
def test_what_is_no_tensor_is_refused_by_the_name_of_the_input(
    value: Any, declares: str | None, message: str
) -> None:
    with pytest.raises(RequestError, match=f"input 'x': .*{message}"):
        read(value, declares)


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        (b"{", "failed to parse request"),
        (b'{"input": {}}', "unknown key 'input' in a request; did you mean 'inputs'"),
        (b'{"inputs": 1}', "'inputs' is a whole number"),
        (b'{"output_filter": ["y"]}', "'output_filter' is a list of positions"),
        (b'{"output_filter": [true]}', "'output_filter' is a list of positions"),
        (b'{"debug_level": 1.5}', "'debug_level' is a number"),
        (b'{"inputs": [["a"]]}', "input 0: a value is no number"),
        (b'{"inputs": {"x": ' + b"[" * 100 + b"1" + b"]" * 100 + b"}}", "input 'x': .*too many dimensions"),
    ],
)
def test_a_request_that_is_none_is_refused(sent: bytes, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        decode(sent)
