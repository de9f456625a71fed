"""Bytes in, bytes out: a processor behind the codec of its requests.

body ──inflate──▶ plain ──read──▶ request ──reply──▶ answer        on a worker thread, in one go (`answer`)
                                     ▲
                             what users.py looks up, if the service looks users up at all
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from recserve.errors import TooLargeError
from recserve.processors.debug import LEVELS, PLAIN, TENSOR_LEVELS
from recserve.wire import compression, tensors, torchrec

if TYPE_CHECKING:
    from collections.abc import Callable

    from recserve.config.rpc import Rpc
    from recserve.messages import ScoreRequest
    from recserve.observe.trace import Trace
    from recserve.processors.processor import Gauges, Predictor, Processor, Scorer


#: Characters of the request's own `request_id` that logs show.
MOST_OF_AN_ID = 128


class Endpoint(Protocol):
    """Bytes in, bytes out: a processor behind its codec."""

    @property
    def processor(self) -> Processor:
        """What answers."""

    def inflate(self, body: bytes) -> bytes:
        """Make a body plain, as the service says, else as its first bytes say."""

    def answer(self, plain: bytes, trace: Trace, deadline: float) -> bytes:
        """Answer one plain request body; called on a worker thread. `deadline` is in monotonic seconds."""

    def sample(self, rows: int) -> bytes:
        """A plain request body for warm-up."""

    def gauges(self) -> Gauges:
        """What codec and processor count."""


def answer_body(endpoint: Endpoint, body: bytes, trace: Trace, deadline: float) -> bytes:
    """Answer a request body as it came; called on a worker thread."""
    trace.begin_work()
    return endpoint.answer(endpoint.inflate(body), trace, deadline)


def inflater(rpc: Rpc) -> Callable[[bytes], bytes]:
    """What makes a body plain: as the service says, else as the first bytes say."""
    if rpc.decompressor == "none":
        return lambda body: body
    return lambda body: compression.inflate(body, rpc.decompressor or None, rpc.max_body_bytes)


class ScoreEndpoint:
    """PBRequest → PBResponse, for processors that take raw features."""

    def __init__(self, processor: Scorer, rpc: Rpc) -> None:
        self.processor = processor
        self._max_items = rpc.max_items
        self._decoder = torchrec.Decoder(processor.schema, fallback=processor.types_if_missing)
        self.inflate = inflater(rpc)

    def answer(self, plain: bytes, trace: Trace, deadline: float) -> bytes:
        """See Endpoint."""
        return self.reply(self.read(plain, trace, deadline), trace)

    def read(self, plain: bytes, trace: Trace, deadline: float) -> ScoreRequest:
        """Decode a plain request body; the first half of `answer`."""
        request = replace(self._decoder.decode(plain), deadline=deadline)
        if request.rows > self._max_items:
            raise TooLargeError(
                f"over the limit: {request.rows} items in one request; rpc.max_items is {self._max_items}"
            )
        level = LEVELS.get(request.debug_level, PLAIN)
        trace.rows, trace.captured, trace.logged = request.rows, level.captured, level.logs_stages
        if request.meta:
            trace.sent_id = request.meta.get("request_id", "")[:MOST_OF_AN_ID]
        trace.lap("decode")
        return request

    def reply(self, request: ScoreRequest, trace: Trace) -> bytes:
        """Score what was read, and encode the scores; the second half."""
        level = LEVELS.get(request.debug_level, PLAIN)
        if level.looks:
            response = self.processor.look(request, level, trace)
        else:
            response = self.processor.score(request, trace)
        encoded = torchrec.encode(response)
        trace.lap("encode")
        return encoded

    def sample(self, rows: int) -> bytes:
        """See Endpoint."""
        return torchrec.encode_request(self.processor.sample(rows))

    def gauges(self) -> Gauges:
        """See Endpoint."""
        unparsable = ("Values that did not fit their column's type.", float(self._decoder.unparsable))
        return {"recserve_request_unparsable_values_total": unparsable, **self.processor.gauges()}


class TensorEndpoint:
    """pytorch.eas PredictRequest → PredictResponse, for models that take the client's own tensors."""

    def __init__(self, processor: Predictor, rpc: Rpc) -> None:
        self.processor = processor
        self.inflate = inflater(rpc)

    def answer(self, plain: bytes, trace: Trace, deadline: float) -> bytes:
        """See Endpoint."""
        request = replace(tensors.decode(plain), deadline=deadline)
        level = TENSOR_LEVELS.get(request.debug_level, PLAIN)
        trace.captured, trace.logged = level.captured, level.logs_stages
        trace.lap("decode")
        encoded = tensors.encode(self.processor.predict(request, trace))
        trace.lap("encode")
        return encoded

    def sample(self, rows: int) -> bytes:
        """See Endpoint."""
        return tensors.encode_request(self.processor.sample(rows))

    def gauges(self) -> Gauges:
        """See Endpoint."""
        return self.processor.gauges()
