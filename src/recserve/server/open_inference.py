"""The Open Inference Protocol, version 2, REST: for models that take tensors (`fg_mode: bypass`).

    GET  /v2   /v2/health/live   /v2/health/ready               the process; health needs no token
    GET  /v2/models/<service>[/versions/1]          /ready      the model
    POST /v2/models/<service>[/versions/1]/infer                tensors in, tensors out

Errors are `{"error": "…"}`. Ours: a process has one model, of version "1"; a service with feature generation
answers all but `infer`, which it refuses with the path to ask instead.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from recserve import __version__
from recserve.errors import RequestError
from recserve.server.dialect import Dialect
from recserve.server.endpoint import TensorEndpoint
from recserve.server.routes import Route
from recserve.wire import open_inference

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from recserve.observe.trace import Trace
    from recserve.processors.processor import TensorInfo
    from recserve.server.door import Door, Exchange
    from recserve.server.endpoint import Endpoint
    from recserve.server.lifecycle import Lifecycle
    from recserve.server.routes import Handler
    from recserve.server.scoring import Workplace

VERSION = "1"
_JSON_BYTES = b"inference-header-content-length"
_BINARY = b"application/octet-stream"
#: Engine → "platform", as the protocol's page lists them.
_PLATFORMS = {"torchscript": "pytorch_torchscript", "onnx": "onnx_onnxv1"}
#: Types of a signature that the protocol calls otherwise than numpy.
_DATATYPES = {"DT_FLOAT": "FP32", "DT_DOUBLE": "FP64", "DT_HALF": "FP16", "DT_STRING": "BYTES"}


class OpenInference(Dialect):
    """The door."""

    name = "open_inference"
    prefix = "/v2"
    keeps = False  # nothing in its requests asks for it, and clients of the service send others
    content_type = b"application/json"

    def __init__(self, service: str, door: Door, lifecycle: Lifecycle) -> None:
        self._service = service
        self._door = door
        self._lifecycle = lifecycle
        self._metadata: dict[str, Any] = {}
        self._endpoint: TensorEndpoint | None = None

    def routes(self, score: Handler) -> Iterator[Route]:
        """See Dialect."""
        yield Route("/v2", {"GET": self._telling(self._server)})
        yield Route("/v2/health/live", {"GET": self._telling(lambda: (200, {"live": True}))}, token=False)
        yield Route("/v2/health/ready", {"GET": self._telling(self._ready)}, token=False)
        model = f"/v2/models/{self._service}"
        for path in (model, f"{model}/versions/{VERSION}"):
            yield Route(path, {"GET": self._telling(lambda: (200, self._metadata))})
            yield Route(f"{path}/ready", {"GET": self._telling(self._ready)}, token=False)
            yield Route(f"{path}/infer", {"POST": score})

    def serve(self, endpoint: Endpoint, workplace: Workplace) -> None:
        """See Dialect."""
        signature, info = endpoint.processor.signature(), endpoint.processor.info()
        engine = info.get("engine", "")
        self._metadata = {
            "name": self._service,
            "versions": [VERSION],
            "platform": _PLATFORMS.get(engine, engine),
            "inputs": [_described(tensor) for tensor in signature.inputs],
            "outputs": [_described(tensor) for tensor in signature.outputs],
        }
        self._endpoint = endpoint if isinstance(endpoint, TensorEndpoint) else None
        super().serve(endpoint, workplace)

    def answer(self, exchange: Exchange, body: bytes, deadline: float) -> Awaitable[bytes]:
        """See Dialect."""
        if self._endpoint is None:
            raise RequestError(
                f"no tensors here: service '{self._service}' generates the features of its model; "
                f"ask /v1/score/{self._service}"
            )
        return self._inferred(self._endpoint, exchange, body, deadline)

    def refuse(self, exchange: Exchange, status: int, message: str) -> tuple[bytes, bytes]:
        """The protocol's error object."""
        return self.content_type, json.dumps({"error": message}, ensure_ascii=False).encode(errors="replace")

    async def _inferred(
        self, endpoint: TensorEndpoint, exchange: Exchange, body: bytes, deadline: float
    ) -> bytes:
        assert self.scoring is not None
        announced = exchange.headers.get(_JSON_BYTES)
        if announced is not None and not (announced.isdigit() and len(announced) < 12):
            raise RequestError(f"Inference-Header-Content-Length is {announced!r:.50}; a number is expected")
        json_bytes = None if announced is None else int(announced)
        answer, told_bytes = await self.scoring.submit(
            self._infer, endpoint, body, json_bytes, exchange.trace, deadline, deadline=deadline
        )
        if told_bytes < len(answer):
            exchange.answer_headers = ((b"content-type", _BINARY), (_JSON_BYTES, b"%d" % told_bytes))
        return answer

    def _infer(
        self, endpoint: TensorEndpoint, body: bytes, json_bytes: int | None, trace: Trace, deadline: float
    ) -> tuple[bytes, int]:
        """On a worker thread."""
        trace.begin_work()
        plain = body if body[:1] == b"{" else endpoint.inflate(body)
        request = open_inference.decode(plain, json_bytes)
        trace.lap("decode")
        response = endpoint.processor.predict(replace(request.tensors, deadline=deadline), trace)
        answer = open_inference.encode(request, response, model=self._service, version=VERSION)
        trace.lap("encode")
        return answer

    def _telling(self, tell: Callable[[], tuple[int, dict[str, Any]]]) -> Handler:
        async def handler(exchange: Exchange) -> None:
            status, told = tell()
            headers = [(b"content-type", self.content_type)]
            await self._door.answer(exchange, status, json.dumps(told).encode(), headers)

        return handler

    def _server(self) -> tuple[int, dict[str, Any]]:
        return 200, {"name": "recserve", "version": __version__, "extensions": ["binary_tensor_data"]}

    def _ready(self) -> tuple[int, dict[str, Any]]:
        ready = self._lifecycle.ready
        return 200 if ready else 503, {"ready": ready, "state": self._lifecycle.state.value}


def _described(tensor: TensorInfo) -> dict[str, Any]:
    datatype = _DATATYPES.get(tensor.type, tensor.type.removeprefix("DT_").upper())
    return {"name": tensor.name, "datatype": datatype, "shape": list(tensor.shape) or [1]}
