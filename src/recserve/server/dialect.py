"""A door for scores: its paths, its codec, and how it words what it refuses.

    Predict        /api/predict/<service>    protobuf, errors as text        (here)
    JsonScores     /v1/score/<service>       JSON, errors as problems        json_scores.py
    OpenInference  /v2/models/<service>      JSON tensors, {"error": …}      open_inference.py

All of them are answered by `App.score`: one way through token, limits, queue, workers and counts.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from recserve.server.error_body import CONTENT_TYPE as TEXT
from recserve.server.error_body import error_body
from recserve.server.routes import Route
from recserve.server.scoring import Scoring

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator

    from recserve.server.door import Exchange
    from recserve.server.endpoint import Endpoint
    from recserve.server.routes import Handler
    from recserve.server.scoring import Workplace


class Dialect(ABC):
    """One door."""

    name: str  # in metrics
    prefix: str | tuple[str, ...]  # paths that begin so are refused in its words, with a route or without
    content_type: bytes  # of scores
    keeps = True  # its requests may be kept on disk; see captures.py
    scoring: Scoring | None = None  # set when the service is ready

    @abstractmethod
    def routes(self, score: Handler) -> Iterator[Route]:
        """Its paths; `score` answers those that score."""

    @abstractmethod
    def refuse(self, exchange: Exchange, status: int, message: str) -> tuple[bytes, bytes]:
        """Content type and body of an answer that is an error."""

    def serve(self, endpoint: Endpoint, workplace: Workplace) -> None:
        """Answer with `endpoint` from now on, behind a codec of its own if it has one."""
        self.scoring = Scoring(endpoint, workplace)

    def answer(self, exchange: Exchange, body: bytes, deadline: float) -> Awaitable[bytes]:
        """Answer a body as it came; `deadline` is in monotonic seconds."""
        assert self.scoring is not None  # see App._admit
        return self.scoring.answer(body, exchange.trace, deadline)

    def message(self, body: bytes) -> bytes:
        """What the service's own clients would have sent, plain; for requests that are kept."""
        assert self.scoring is not None  # there was a request
        return self.scoring.endpoint.inflate(body)


class Predict(Dialect):
    """The door of the protocol's own clients; what nobody else claims is refused in its words."""

    name = "predict"
    prefix = ""
    content_type = b"application/octet-stream"

    def __init__(self, service: str, describe: Handler, *, group: str = "") -> None:
        """Clients of a group ask for its name, and those who look at one member for `<group>.<service>`."""
        self.path = f"/api/predict/{service}"
        names = (group, f"{group}.{service}") if group else ()
        self._group_paths = [f"/api/predict/{name}" for name in names if name != service]
        self._describe = describe

    def serve(self, endpoint: Endpoint, workplace: Workplace) -> None:
        """See Dialect; requests of this door may share calls of the model."""
        self.scoring = Scoring(endpoint, workplace, shared=workplace.shared)

    def routes(self, score: Handler) -> Iterator[Route]:
        """See Dialect."""
        for path in (self.path, *self._group_paths):
            yield Route(path, {"GET": self._describe, "POST": score}, below=True)
        yield Route("/", {"GET": self._describe})

    def refuse(self, exchange: Exchange, status: int, message: str) -> tuple[bytes, bytes]:
        """Text that no protobuf parser takes for an answer."""
        return TEXT, error_body(message)
