"""The tensors of the Open Inference Protocol: JSON, binary data, and what is refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from recserve.errors import RequestError
from recserve.messages import TensorResponse
from recserve.wire.open_inference import DTYPES, InferRequest, decode, encode

if TYPE_CHECKING:
    from numpy.typing import NDArray


def request_of(*inputs: dict[str, Any], **more: Any) -> bytes:
    return json.dumps({"inputs": inputs, **more}).encode()


def x(**changes: Any) -> dict[str, Any]:
    entry = {"name": "x", "datatype": "FP32", "shape": [2], "data": [1.5, 2], **changes}
    return {key: value for key, value in entry.items() if value is not None}


def answer(request: InferRequest, **outputs: NDArray[Any]) -> tuple[dict[str, Any], bytes]:
    """What is told, and the bytes behind it."""
    body, json_bytes = encode(request, TensorResponse((), outputs), model="rank", version="1")
    return json.loads(body[:json_bytes]), body[json_bytes:]


@pytest.mark.parametrize("datatype", DTYPES)
def test_every_datatype_comes_and_goes_in_json_and_as_bytes(datatype: str) -> None:
    values = np.array([[0, 1], [1, 0]]).astype(DTYPES[datatype])
    in_json = x(datatype=datatype, shape=[2, 2], data=values.tolist())
    in_bytes = x(datatype=datatype, shape=[2, 2], data=None, parameters={"binary_data_size": values.nbytes})
    head = request_of(in_bytes, parameters={"binary_data_output": True})

    asked, asked_in_bytes = decode(request_of(in_json)), decode(head + values.tobytes(), len(head))

    for read in (asked, asked_in_bytes):
        assert read.tensors.named_inputs["x"].dtype == values.dtype
        assert np.array_equal(read.tensors.named_inputs["x"], values)
    (told,) = answer(asked, y=values)[0]["outputs"]
    assert told == {"name": "y", "datatype": datatype, "shape": [2, 2], "data": values.ravel().tolist()}
    described, blob = answer(asked_in_bytes, y=values)
    assert described["outputs"] == [
        {
            "name": "y",
            "datatype": datatype,
            "shape": [2, 2],
            "parameters": {"binary_data_size": values.nbytes},
        }
    ]
    assert blob == values.tobytes()


def test_an_answer_names_model_version_and_the_id_of_its_request() -> None:
    told, blob = answer(decode(request_of(x(), id="r-1")), y=np.zeros(0, np.float32))

    assert told == {
        "model_name": "rank",
        "model_version": "1",
        "id": "r-1",
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [0], "data": []}],
    }
    assert blob == b""


def test_outputs_are_those_asked_for_in_their_order_each_in_its_form() -> None:
    outputs = [{"name": "b", "parameters": {"binary_data": True}}, {"name": "a"}]
    values = np.array([1, 2], np.int16)

    told, blob = answer(decode(request_of(x(), outputs=outputs)), a=values, b=2 * values, c=values)

    assert [output["name"] for output in told["outputs"]] == ["b", "a"]
    assert blob == (2 * values).tobytes()
    with pytest.raises(RequestError, match="unknown output 'z'; the model has y"):
        answer(decode(request_of(x(), outputs=[{"name": "z"}])), y=values)


def test_a_value_that_is_not_finite_is_null() -> None:
    told, _ = answer(decode(request_of(x())), y=np.array([np.nan, 1], np.float32))

    assert told["outputs"][0]["data"] == [None, 1.0]


def test_unknown_keys_are_ignored() -> None:
    assert decode(request_of(x(extra=1), more=2, parameters={"priority": 1})).tensors.named_inputs.keys() == {
        "x"
    }


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        (b"[]", "failed to parse request"),
        (b'{"inputs": {}}', "'inputs' is a list of objects"),
        (b'{"inputs": [1]}', "'inputs' is a list of objects"),
        (request_of(x(name=None)), r"inputs\[0\]: 'name' is null"),
        (request_of(x(), x()), "input 'x' is sent twice"),
        (request_of(x(datatype="BYTES")), "input 'x': datatype 'BYTES' is not taken; known: BOOL"),
        (request_of(x(datatype=None)), "datatype None is not taken"),
        (request_of(x(datatype=["FP32"])), "datatype .* is not taken"),
        (request_of(x(shape=None)), "input 'x': 'shape' is missing"),
        (request_of(x(shape=[3])), r"2 values for the shape \[3\]"),
        (request_of(x(shape=[-2])), "'shape' is a list of sizes"),
        (request_of(x(data=None)), "input 'x': 'data' is missing"),
        (request_of(x(data=["1", "2"])), "input 'x': a value is no number"),
        (request_of(x(datatype="INT8", data=[1, 300])), "does not fit int8"),
        (request_of(x(parameters=1)), "input 'x': 'parameters' is a whole number"),
        (request_of(x(parameters={"binary_data_size": 8})), "binary_data_size is 8, 0 bytes are left"),
        (request_of(x(), outputs=["y"]), "'outputs' is a list of objects"),
        (
            request_of(x(), outputs=[{"name": "y", "parameters": {"binary_data": 1}}]),
            "'binary_data' is a whole",
        ),
        (request_of(x(), id=1), "'id' is a whole number"),
        (request_of(x(), parameters={"binary_data_output": "yes"}), "'binary_data_output' is a text"),
    ],
)
def test_what_does_not_fit_is_refused(sent: bytes, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        decode(sent)


@pytest.mark.parametrize(
    ("datatype", "size", "blob", "message"),
    [
        ("FP32", 8, b"12345678tail", "4 bytes behind the JSON belong to no input"),
        ("FP32", 7, b"1234567", "7 bytes are no whole number of FP32"),
        ("FP32", 4, b"1234", "1 values for the shape"),
        ("FP32", -1, b"", "binary_data_size is -1"),
        ("FP32", True, b"1", "binary_data_size is True"),
        ("FP32", 1 << 70, b"", "binary_data_size is 1180591620717411303424, 0 bytes"),
        ("BOOL", 2, b"\x01\x02", "a BOOL is a byte of 0 or 1"),
    ],
)
def test_binary_data_that_does_not_fit_is_refused(
    datatype: str, size: Any, blob: bytes, message: str
) -> None:
    head = request_of(x(datatype=datatype, data=None, parameters={"binary_data_size": size}))

    with pytest.raises(RequestError, match=message):
        decode(head + blob, len(head))


@pytest.mark.parametrize("json_bytes", [-1, 10_000])
def test_json_beyond_the_body_is_refused(json_bytes: int) -> None:
    with pytest.raises(RequestError, match=f"{json_bytes} bytes of JSON are announced"):
        decode(request_of(x()), json_bytes)
