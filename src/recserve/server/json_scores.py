"""`POST /v1/score/<service>`: the same scores for people and scripts, in JSON.

    body ─▶ JSON ─▶ the message of the predict route ─▶ its endpoint ─▶ its answer ─▶ JSON

What a request means, what is refused and what leaves the server are thereby the same. Errors on this door are
problem details (RFC 9457). Ours: a body that begins with "{" is JSON whatever `decompressor` says; any other
is unpacked as on the predict route.
"""

from __future__ import annotations

import json
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING

from recserve.processors.debug import PLAIN, TENSOR_LEVELS
from recserve.server.dialect import Dialect
from recserve.server.endpoint import ScoreEndpoint, TensorEndpoint
from recserve.server.routes import Route
from recserve.wire import json_scores, json_tensors, tensors, torchrec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recserve.messages import ScoreRequest
    from recserve.observe.trace import Trace
    from recserve.processors.processor import Gauges, Predictor, Scorer
    from recserve.server.door import Exchange
    from recserve.server.endpoint import Endpoint
    from recserve.server.routes import Handler
    from recserve.server.scoring import Workplace

PROBLEM = b"application/problem+json"
#: What HTTP has no phrase for; see errors.py.
_TITLES = {450: "Queue Full"}


class JsonScores(Dialect):
    """The door."""

    name = "json"
    prefix = ("/v1/", "/openapi.json")
    content_type = b"application/json"

    def __init__(self, service: str) -> None:
        self.path = f"/v1/score/{service}"

    def routes(self, score: Handler) -> Iterator[Route]:
        """See Dialect."""
        yield Route(self.path, {"POST": score})

    def serve(self, endpoint: Endpoint, workplace: Workplace) -> None:
        """See Dialect."""
        if isinstance(endpoint, ScoreEndpoint):
            super().serve(ScoresAsJson(endpoint), workplace)
        elif isinstance(endpoint, TensorEndpoint):
            super().serve(TensorsAsJson(endpoint), workplace)

    def message(self, body: bytes) -> bytes:
        """See Dialect."""
        endpoint = self.scoring.endpoint if self.scoring is not None else None
        assert isinstance(endpoint, (ScoresAsJson, TensorsAsJson))
        return endpoint.message(endpoint.inflate(body))

    def refuse(self, exchange: Exchange, status: int, message: str) -> tuple[bytes, bytes]:
        """A problem as RFC 9457 words it; its type is about:blank, so the title is the status in words."""
        title = _TITLES.get(status) or HTTPStatus(status).phrase
        problem = {
            "title": title,
            "status": status,
            "detail": message,
            "request_id": exchange.trace.request_id,
        }
        return PROBLEM, json.dumps(problem, ensure_ascii=False).encode(errors="replace")


class _AsJson:
    """What both endpoints share."""

    def __init__(self, inner: ScoreEndpoint | TensorEndpoint) -> None:
        self._inflate = inner.inflate

    def inflate(self, body: bytes) -> bytes:
        """See Endpoint; no compression begins with a brace, whatever the service's clients use."""
        return body if body[:1] == b"{" else self._inflate(body)


class ScoresAsJson(_AsJson):
    """JSON in front of PBRequest → PBResponse."""

    def __init__(self, inner: ScoreEndpoint) -> None:
        super().__init__(inner)
        self.processor: Scorer = inner.processor
        self._inner = inner

    def answer(self, plain: bytes, trace: Trace, deadline: float) -> bytes:
        """See Endpoint."""
        return self.reply(self.read(plain, trace, deadline), trace)

    def read(self, plain: bytes, trace: Trace, deadline: float) -> ScoreRequest:
        """See ScoreEndpoint."""
        return self._inner.read(self.message(plain), trace, deadline)

    def message(self, plain: bytes) -> bytes:
        """The same request as a PBRequest."""
        return torchrec.encode_request(json_scores.decode(plain))

    def reply(self, request: ScoreRequest, trace: Trace) -> bytes:
        """See ScoreEndpoint."""
        encoded = json_scores.encode(torchrec.decode_response(self._inner.reply(request, trace)))
        trace.lap("encode")
        return encoded

    def sample(self, rows: int) -> bytes:
        """See Endpoint."""
        return self._inner.sample(rows)

    def gauges(self) -> Gauges:
        """See Endpoint."""
        return self._inner.gauges()


class TensorsAsJson(_AsJson):
    """JSON in front of a model that takes tensors: every dtype of numpy's, where protobuf lacks some."""

    def __init__(self, inner: TensorEndpoint) -> None:
        super().__init__(inner)
        self.processor: Predictor = inner.processor
        self._inner = inner
        self._dtypes = json_tensors.declared(
            (tensor.name, tensor.type) for tensor in self.processor.signature().inputs
        )

    def answer(self, plain: bytes, trace: Trace, deadline: float) -> bytes:
        """See Endpoint."""
        request = replace(json_tensors.decode(plain, self._dtypes), deadline=deadline)
        level = TENSOR_LEVELS.get(request.debug_level, PLAIN)
        trace.captured, trace.logged = level.captured, level.logs_stages
        trace.lap("decode")
        encoded = json_tensors.encode(self.processor.predict(request, trace))
        trace.lap("encode")
        return encoded

    def message(self, plain: bytes) -> bytes:
        """The same request as a PredictRequest. Raises RequestError for a dtype that it does not have."""
        return tensors.encode_request(json_tensors.decode(plain, self._dtypes))

    def sample(self, rows: int) -> bytes:
        """See Endpoint."""
        return self._inner.sample(rows)

    def gauges(self) -> Gauges:
        """See Endpoint."""
        return self._inner.gauges()
