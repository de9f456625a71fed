"""Tensors both ways: every dtype, every disagreement of dtype, shape and values."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from tests.wire.random_messages import message, tag, varint

from recserve.errors import DataError, RequestError
from recserve.messages import TensorRequest, TensorResponse
from recserve.wire import tensors
from recserve.wire.descriptors import message_class

ArrayProto = message_class("pytorch.eas.ArrayProto")
PredictRequest = message_class("pytorch.eas.PredictRequest")
PredictResponse = message_class("pytorch.eas.PredictResponse")
DTYPES: dict[str, int] = {
    v.name: v.number for v in ArrayProto.DESCRIPTOR.fields_by_name["dtype"].enum_type.values
}


def proto(dtype: str, shape: list[int] | None = None, **values: Any) -> Any:
    """An ArrayProto: proto("DT_FLOAT", [2], float_val=[1, 2])."""
    array = ArrayProto(dtype=DTYPES[dtype], **values)
    if shape is not None:
        array.array_shape.dim.extend(shape)
    return array


def decode_one(array: Any) -> Any:
    """The array as positional input, which must equal it as a named one."""
    request = PredictRequest(inputs=[array], map_inputs={"x": array})
    result = tensors.decode(request.SerializeToString())
    np.testing.assert_array_equal(result.inputs[0], result.named_inputs["x"])
    assert result.inputs[0] is not None
    assert result.inputs[0].dtype == result.named_inputs["x"].dtype
    return result.inputs[0]


RECEIVED: list[tuple[str, str, list[Any], Any]] = [
    ("DT_FLOAT", "float_val", [1.5, -2.0], np.float32),
    ("DT_DOUBLE", "double_val", [0.1, -2.0], np.float64),
    ("DT_INT8", "int_val", [-128, 127], np.int8),
    ("DT_INT16", "int_val", [-32768, 32767], np.int16),
    ("DT_INT32", "int_val", [-(2**31), 2**31 - 1], np.int32),
    ("DT_UINT8", "int_val", [0, 255], np.uint8),
    ("DT_INT64", "int64_val", [-(2**63), 2**63 - 1], np.int64),
    ("DT_HALF", "float_val", [1.5, -2.0], np.float16),
    ("DT_BFLOAT16", "float_val", [1.5, -2.0], np.float32),
    ("DT_BOOL", "int_val", [0, 1], np.bool_),
]


@pytest.mark.parametrize(("dtype", "field", "values", "expected"), RECEIVED, ids=[r[0] for r in RECEIVED])
def test_every_dtype_is_received_by_position_and_by_name(
    dtype: str, field: str, values: list[Any], expected: Any
) -> None:
    result = decode_one(proto(dtype, [2, 1], **{field: values}))

    assert result.dtype == expected
    np.testing.assert_array_equal(result, np.array(values, expected).reshape(2, 1))


def test_bools_may_come_in_the_field_that_other_families_have() -> None:
    array = (
        tag(1, 0) + varint(DTYPES["DT_BOOL"]) + message(2, message(1, b"\x03")) + message(8, b"\x01\x00\x01")
    )
    result = tensors.decode(message(1, array)).inputs[0]
    assert result is not None
    assert result.tolist() == [True, False, True]


def test_shapes_may_be_scalar_empty_or_deep() -> None:
    assert decode_one(proto("DT_FLOAT", [], float_val=[3.0])).shape == ()
    assert decode_one(proto("DT_FLOAT", None, float_val=[3.0])).shape == ()
    assert decode_one(proto("DT_INT64", [0, 4])).shape == (0, 4)
    assert decode_one(proto("DT_INT64", [1] * 8, int64_val=[5])).shape == (1,) * 8


def test_gaps_between_positional_inputs_are_none() -> None:
    request = PredictRequest(inputs=[ArrayProto(), proto("DT_FLOAT", [1], float_val=[1]), ArrayProto()])
    result = tensors.decode(request.SerializeToString()).inputs

    assert [array is None for array in result] == [True, False, True]


def test_filter_and_level_are_read() -> None:
    result = tensors.decode(PredictRequest(output_filter=[1, 0, 1], debug_level=903).SerializeToString())
    assert (list(result.output_filter), result.debug_level) == ([1, 0, 1], 903)


def test_unpacked_numbers_are_read() -> None:
    array = (
        tag(1, 0) + b"\x03" + message(2, tag(1, 0) + b"\x02") + (tag(5, 0) + b"\x07") + message(5, b"\x08")
    )
    result = tensors.decode(message(1, array) + tag(2, 0) + b"\x01" + tag(2, 0) + b"\x00")
    assert result.inputs[0] is not None
    assert result.inputs[0].tolist() == [7, 8]
    assert list(result.output_filter) == [1, 0]


BELONG = "whose values belong in"
TWO_FIELDS = proto("DT_INT64", [1], int64_val=[1], string_val=[b"a"])
REFUSED: list[tuple[Any, str]] = [
    (proto("DT_FLOAT", [5], float_val=[1, 2, 3]), r"has shape \[5\], which asks for 5 values, but 3 came"),
    (proto("DT_FLOAT", [], float_val=[1, 2]), r"has shape \[\], which asks for 1 values, but 2 came"),
    (proto("DT_FLOAT", [2]), r"has shape \[2\], which asks for 2 values, but 0 came"),
    (proto("DT_FLOAT", [-1], float_val=[1]), r"has the impossible shape \[-1\]"),
    (proto("DT_FLOAT", [2**40, 0]), "has the impossible shape"),
    (proto("DT_FLOAT", [0, 2**20, 2**20]), "has the impossible shape"),
    (proto("DT_FLOAT", [1] * 33, float_val=[1]), "has 33 dimensions; at most 32 are supported"),
    (
        proto("DT_DOUBLE", [1], float_val=[1]),
        f"has dtype DT_DOUBLE, {BELONG} double_val, but 1 came in float_val",
    ),
    (proto("DT_INT64", [1], int_val=[1]), f"has dtype DT_INT64, {BELONG} int64_val, but 1 came in int_val"),
    (TWO_FIELDS, f"has dtype DT_INT64, {BELONG} int64_val, but 1 came in string_val"),
    (proto("DT_UINT8", [1], int_val=[256]), "256 does not fit DT_UINT8"),
    (proto("DT_INT8", [1], int_val=[-129]), "-129 does not fit DT_INT8"),
    (proto("DT_STRING", [1], string_val=[b"a"]), "has dtype 7, which no model takes; known: DT_FLOAT, "),
    (proto("DT_COMPLEX64", [1], float_val=[1]), "has dtype 8"),
    (proto("DT_INVALID", [1], float_val=[1]), "has 1 values but no dtype"),
]


@pytest.mark.parametrize(("array", "why"), REFUSED, ids=[r[1] for r in REFUSED])
def test_a_tensor_that_disagrees_with_itself_is_refused_by_name(array: Any, why: str) -> None:
    fine = proto("DT_FLOAT", [1], float_val=[1])
    with pytest.raises(RequestError, match=f"^input 1:? {why}"):
        tensors.decode(PredictRequest(inputs=[fine, array]).SerializeToString())
    with pytest.raises(RequestError, match=f"^input 'ids':? {why}"):
        tensors.decode(PredictRequest(map_inputs={"ids": array}).SerializeToString())


def test_a_named_input_without_a_dtype_is_refused() -> None:
    with pytest.raises(RequestError, match="input 'ids' has no dtype"):
        tensors.decode(PredictRequest(map_inputs={"ids": ArrayProto()}).SerializeToString())


def test_more_tensors_than_any_model_has_are_refused() -> None:
    for field in (1, 3):
        with pytest.raises(RequestError, match="more than 16384 tensors"):
            tensors.decode(message(field, b"") * 20_000)


SENT: list[tuple[Any, str, str]] = [
    (np.array([1.5, -2.0], np.float32), "DT_FLOAT", "float_val"),
    (np.array([0.1, -2.0]), "DT_DOUBLE", "double_val"),
    (np.array([-128, 127], np.int8), "DT_INT8", "int_val"),
    (np.array([-32768, 32767], np.int16), "DT_INT16", "int_val"),
    (np.array([-(2**31), 2**31 - 1], np.int32), "DT_INT32", "int_val"),
    (np.array([0, 255], np.uint8), "DT_UINT8", "int_val"),
    (np.array([-(2**63), 2**63 - 1]), "DT_INT64", "int64_val"),
    (np.array([True, False]), "DT_UINT8", "int_val"),
    (np.array([1.5, -2.0, 6e-8, 65504, np.inf, -0.0], np.float16), "DT_FLOAT", "float_val"),
]


@pytest.mark.parametrize(("array", "dtype", "field"), SENT, ids=[str(s[0].dtype) for s in SENT])
def test_every_dtype_is_sent_as_one_that_clients_read(array: Any, dtype: str, field: str) -> None:
    body = tensors.encode(TensorResponse([array], {"y": array}))

    pb = PredictResponse.FromString(body)
    for sent in (pb.outputs[0], pb.map_outputs["y"]):
        assert sent.dtype == DTYPES[dtype]
        assert list(sent.array_shape.dim) == [len(array)]
        assert list(getattr(sent, field)) == array.tolist()
    result = tensors.decode_response(body)
    assert result.outputs[0].tolist() == result.named_outputs["y"].tolist() == array.tolist()


def test_every_half_float_is_sent_exactly() -> None:
    halves = np.arange(2**16, dtype=np.uint16).view(np.float16)
    result = tensors.decode_response(tensors.encode(TensorResponse([halves]))).outputs[0]
    np.testing.assert_array_equal(result, halves.astype(np.float32))


def test_a_bfloat16_tensor_of_torch_is_sent_as_float() -> None:
    torch = pytest.importorskip("torch")
    tensor = torch.tensor([1.5, -2.25, 3e38]).to(torch.bfloat16)
    result = tensors.decode_response(tensors.encode(TensorResponse([tensor]))).outputs[0]
    assert result.tolist() == tensor.tolist()


def test_a_scalar_is_sent_with_one_dimension() -> None:
    pb = PredictResponse.FromString(tensors.encode(TensorResponse([np.array(2.5, np.float32)])))
    assert list(pb.outputs[0].array_shape.dim) == [1]
    assert list(pb.outputs[0].float_val) == [2.5]


def test_strided_and_read_only_arrays_are_sent_in_c_order() -> None:
    array = np.arange(12, dtype=np.int64).reshape(3, 4).T[::2]
    array.flags.writeable = False
    result = tensors.decode_response(tensors.encode(TensorResponse([array]))).outputs[0]
    np.testing.assert_array_equal(result, array)


def test_a_dtype_that_the_protocol_lacks_is_named() -> None:
    with pytest.raises(DataError, match="output 'y' has a dtype that the protocol lacks"):
        tensors.encode(TensorResponse((), {"y": np.array([1], np.uint64)}))
    with pytest.raises(DataError, match="output 0 is no array"):
        tensors.encode(TensorResponse([np.array(["text"])]))


def test_a_client_request_reads_back() -> None:
    inputs = [np.arange(6, dtype=np.float32).reshape(2, 3), None, np.array([], np.int64)]
    sent = TensorRequest(inputs, {"n": np.array([[1]], np.int8)}, [1, 0], 3)

    body = tensors.encode_request(sent)

    pb = PredictRequest.FromString(body)
    assert [array.dtype for array in pb.inputs] == [DTYPES["DT_FLOAT"], 0, DTYPES["DT_INT64"]]
    result = tensors.decode(body)
    assert result.inputs[1] is None
    np.testing.assert_array_equal(result.inputs[0], inputs[0])
    assert result.named_inputs["n"].tolist() == [[1]]
    assert (list(result.output_filter), result.debug_level) == ([1, 0], 3)


def random_tensor(rng: random.Random) -> Any:
    dtype, field, values, _ = RECEIVED[rng.randrange(len(RECEIVED))]
    shape = [rng.randrange(3) for _ in range(rng.randrange(3))]
    count = int(np.prod(shape, dtype=int))
    return proto(dtype, shape, **{field: [rng.choice(values) for _ in range(count)]})


def test_random_requests_give_the_values_that_the_generated_classes_say() -> None:
    rng = random.Random(1)
    fields = {dtype: field for dtype, field, _, _ in RECEIVED}
    names = {number: name for name, number in DTYPES.items()}
    for _ in range(3000):
        pb = PredictRequest(
            inputs=[random_tensor(rng) for _ in range(rng.randrange(4))],
            map_inputs={name: random_tensor(rng) for name in "abc"[: rng.randrange(4)]},
            output_filter=[rng.randrange(-2, 5) for _ in range(rng.randrange(3))],
        )
        result = tensors.decode(pb.SerializeToString())
        assert list(result.output_filter) == list(pb.output_filter)
        pairs = list(zip(result.inputs, pb.inputs, strict=True))
        pairs += [(result.named_inputs[name], pb.map_inputs[name]) for name in pb.map_inputs]
        assert len(result.named_inputs) == len(pb.map_inputs)
        for array, sent in pairs:
            assert array is not None
            assert array.shape == tuple(sent.array_shape.dim)
            assert array.ravel().tolist() == list(getattr(sent, fields[names[sent.dtype]]))


def test_a_request_cut_or_damaged_anywhere_is_refused_or_read() -> None:
    rng = random.Random(2)
    body = tensors.encode_request(
        TensorRequest([np.arange(3, dtype=np.float32)], {"x": np.array([[1, 2]])}, [0], 3)
    )
    for end in range(len(body)):
        reads(body[:end])
    for _ in range(5000):
        damaged = bytearray(body)
        for _ in range(rng.randrange(1, 4)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        reads(bytes(damaged))


def reads(body: bytes) -> None:
    """Bytes that the generated class refuses must be refused; nothing but RequestError may come."""
    assert accepts(body) in {parses(body), None}, body.hex()


def parses(body: bytes) -> bool:
    try:
        PredictRequest.FromString(body)
    except DecodeError:
        return False
    return True


def accepts(body: bytes) -> bool | None:
    """None: an input disagrees with itself, which is found before what follows is read; or a field has the
    number 0, which some builds of the generated classes let pass.
    """
    try:
        tensors.decode(body)
    except RequestError as e:
        if str(e).endswith("a field tag is malformed"):
            return None
        return False if str(e).startswith("failed to parse request") else None
    return True
