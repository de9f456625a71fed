"""The pytorch.eas Predict messages: tensors in, tensors out; a service without feature generation (bypass).

| dtype on the wire          | array that a request gives | arrays that are sent as it          |
|----------------------------|----------------------------|-------------------------------------|
| FLOAT                      | float32                    | float32, float16, bfloat16 (torch)  |
| DOUBLE                     | float64                    | float64                             |
| INT8, INT16, INT32, INT64  | the same                   | the same                            |
| UINT8                      | uint8                      | uint8, bool                         |
| HALF                       | float16                    |                                     |
| BFLOAT16                   | float32: numpy lacks it    |                                     |
| BOOL                       | bool                       |                                     |

Half floats and bools are sent as the nearest dtype that every client can read. Any other dtype, a shape that
does not match the number of values, values in the field of another dtype and integers out of range are
refused by the input's name. A shape is always sent, a scalar's as [1].

Source: ArrayProto as the client packages eas_prediction 0.36 and eas-sdk 2.0.32 fill and read it.
"""

from __future__ import annotations

from recserve._core import (
    decode_predict_request,
    decode_predict_response,
    encode_predict_request,
    encode_predict_response,
)
from recserve.messages import TensorRequest, TensorResponse


def decode(body: bytes) -> TensorRequest:
    """Read a PredictRequest; a gap between positional inputs is None. Raises RequestError."""
    inputs, named_inputs, output_filter, debug_level = decode_predict_request(body)
    return TensorRequest(inputs, named_inputs, output_filter, debug_level)


def encode(response: TensorResponse) -> bytes:
    """Write a PredictResponse."""
    return encode_predict_response(response.outputs, dict(response.named_outputs))


def encode_request(request: TensorRequest) -> bytes:
    """Write the PredictRequest that `decode` reads back."""
    return encode_predict_request(
        request.inputs, dict(request.named_inputs), request.output_filter, request.debug_level
    )


def decode_response(body: bytes) -> TensorResponse:
    """Read a PredictResponse. Raises RequestError: "failed to parse response: ..."."""
    return TensorResponse(*decode_predict_response(body))
