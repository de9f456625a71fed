"""What data becomes on its way to a service, and what its answers become.

| serializer         | data                                                    | answer                |
|--------------------|---------------------------------------------------------|-----------------------|
| JsonSerializer     | what JSON has; arrays and tables; a str is JSON already | what JSON says        |
| BytesSerializer    | bytes; str, dict and list as UTF-8 text                 | bytes                 |
| PyTorchSerializer  | one array, several by position, or by name              | an array, or several  |
| TorchRecSerializer | a dict with user and item_ids, or a request             | arrays by output name |
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from recserve.sdk.exception import PAIException

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from recserve.client import Scores
    from recserve.sdk.session import Session


class SerializerBase(ABC):
    """The contract: bytes or text there, and back."""

    @abstractmethod
    def serialize(self, data: Any) -> bytes | str:
        """The body of a request."""

    @abstractmethod
    def deserialize(self, data: bytes) -> Any:
        """What the body of an answer says."""

    def inspect_from_service(  # noqa: B027 (a hook: most have nothing to learn)
        self, service_name: str, *, session: Session | None = None
    ) -> None:
        """Called once, before the first request of a predictor."""


class JsonSerializer(SerializerBase):
    """JSON. Arrays, and tables of pandas, are nested lists."""

    def serialize(self, data: Any) -> bytes | str:
        """See the module."""
        return data if isinstance(data, str) else json.dumps(data, default=_listed)

    def deserialize(self, data: bytes) -> Any:
        """See the module."""
        try:
            return json.loads(data)
        except ValueError as error:
            raise PAIException(
                f"the answer is not JSON ({error}): {data[:200]!r}; take BytesSerializer to get it as it is"
            ) from error


class BytesSerializer(SerializerBase):
    """Bytes as they are."""

    def serialize(self, data: Any) -> bytes | str:
        """See the module."""
        if isinstance(data, (bytes, bytearray, memoryview)):
            return bytes(data)
        text = json.dumps(data, default=_listed) if isinstance(data, (dict, list, tuple)) else str(data)
        return text.encode()

    def deserialize(self, data: bytes) -> bytes:
        """See the module."""
        return data


class PyTorchSerializer(SerializerBase):
    """Tensors for models without feature generation (`fg_mode: bypass`).

    Ours: each array of a list is an input of its own, and inputs may go by name.
    """

    def serialize(self, data: Any) -> bytes | str:
        """An array or a picture, a list of them by position, or a dict of them by name."""
        from recserve.client.service import tensor_request
        from recserve.wire import tensors

        if isinstance(data, dict):
            inputs: Any = {name: _array(value) for name, value in data.items()}
        else:
            inputs = [_array(one) for one in (data if isinstance(data, (list, tuple)) else [data])]
        return tensors.encode_request(tensor_request(inputs, (), 0))

    def deserialize(self, data: bytes) -> Any:
        """Of inputs by position an array, or a list of several; of inputs by name a dict."""
        from recserve.wire import tensors

        response = tensors.decode_response(data)
        outputs = list(response.outputs)
        if not outputs:
            return dict(response.named_outputs)
        return outputs[0] if len(outputs) == 1 else outputs


class TensorFlowSerializer:
    """Only the name: there is no processor here that speaks TensorFlow's message."""

    def __init__(self, *_: Any, **__: Any) -> None:
        raise PAIException(
            "recserve has no tensorflow processor, so nothing answers TensorFlow's message; serve the model"
            " in an app (container_serving_spec) with JsonSerializer"
        )


class TorchRecSerializer(SerializerBase):
    """Users and items for a scorer (`easyrec-torch-*`); ours.

    `scores`: answer with `recserve.client.Scores` instead of a dict, which has the item ids and what a debug
    level asked for as well.
    """

    KEYS = (
        "user",
        "item_ids",
        "context",
        "item_features",
        "debug_level",
        "faiss_neigh_num",
        "request_id",
    )

    def __init__(self, *, scores: bool = False) -> None:
        self._scores = scores

    def serialize(self, data: Any) -> bytes | str:
        """A dict with some of KEYS, a ScoreRequest of `recserve.client.build_request`, or finished bytes."""
        from recserve.client import build_request
        from recserve.messages import ScoreRequest
        from recserve.wire.torchrec import encode_request

        if isinstance(data, bytes):
            return data
        if isinstance(data, ScoreRequest):
            return encode_request(data)
        if not isinstance(data, dict):
            raise TypeError(
                f"data is a {type(data).__name__}; a dict with {', '.join(self.KEYS)} is expected"
            )
        unknown = sorted(str(key) for key in data if key not in self.KEYS)
        if unknown:
            raise ValueError(f"data has {', '.join(unknown)}; known are {', '.join(self.KEYS)}")
        request = build_request(
            data.get("user"),
            data.get("item_ids", ()),
            context=data.get("context"),
            item_features=data.get("item_features"),
            debug_level=data.get("debug_level", 0),
            neighbours=data.get("faiss_neigh_num", 0),
            meta={"request_id": str(data["request_id"])} if data.get("request_id") else None,
        )
        return encode_request(request)

    def deserialize(self, data: bytes) -> dict[str, NDArray[Any]] | Scores:
        """Arrays by output name, one value (or row) per item."""
        from recserve.client import Scores

        scores = Scores.read({}, data)
        return scores if self._scores else dict(scores.outputs)


def serializer_for(document: Mapping[str, Any]) -> SerializerBase:
    """What a service's processor speaks; JSON for apps, and for what says nothing."""
    if "containers" in document:
        return JsonSerializer()
    processor, config = str(document.get("processor", "")), document.get("model_config")
    tensors = isinstance(config, dict) and config.get("fg_mode") == "bypass"
    if tensors or processor.startswith("pytorch"):
        return PyTorchSerializer()
    return TorchRecSerializer() if processor.startswith("easyrec") else JsonSerializer()


def _listed(value: Any) -> Any:
    """What JSON does not have: arrays, numbers of numpy, tables of pandas."""
    for name in ("tolist", "to_numpy"):
        if hasattr(value, name):
            found = getattr(value, name)()
            return found if name == "tolist" else found.tolist()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def _array(value: Any) -> Any:
    """A picture becomes the array of its points."""
    import numpy as np

    return np.asarray(value)
