"""A client of one service: `Client(url, name, token).score(user=…, item_ids=…)` gives arrays by output name.

with Client("http://127.0.0.1:8000", "rank", token="…") as client:
    scores = client.score(user={"user_id": "u1"}, item_ids=["i1", "i2"])
    scores["probs_ctr"]     # array of 2
    scores.top(1)           # [("i2", 0.31)]
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Self
from urllib.parse import urlsplit

import urllib3

from recserve.client.answered import answered
from recserve.client.errors import ServiceError
from recserve.client.request import Cells, build_request
from recserve.columns import to_arrow
from recserve.errors import RequestError
from recserve.wire import torchrec
from recserve.wire.auth import sign

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from recserve.messages import ScoreRequest


Scheme = Literal["token", "signature"]  # how Authorization proves the token


@dataclass(frozen=True, slots=True)
class Scores(Mapping[str, "NDArray[Any]"]):
    """What a model answered: an array by output name, entry k for item k."""

    outputs: Mapping[str, NDArray[Any]]  # (items,) or (items, k) each
    item_ids: Sequence[str]
    request_id: str = ""
    stages_ms: Mapping[str, float] = field(default_factory=dict)  # the server's own time, by stage
    pass_through: Mapping[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.outputs[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.outputs)

    def __len__(self) -> int:
        return len(self.outputs)

    def top(self, count: int, output: str | None = None) -> list[tuple[str, float]]:
        """The best items with their scores, best first, by the output named or the first one."""
        scores = self.outputs[output if output is not None else next(iter(self.outputs))]
        order = (-scores).argsort(kind="stable")[:count]
        return [(self.item_ids[row], float(scores[row])) for row in order]


class Client:
    """One service at one address; safe for threads, with a pool of kept connections."""

    def __init__(
        self,
        url: str,
        name: str,
        token: str = "",
        *,
        timeout_s: float = 5.0,
        scheme: Scheme = "token",
        connections: int = 32,
    ) -> None:
        self.url = f"{url.rstrip('/')}/api/predict/{name}"
        self._token = token
        self._scheme = scheme
        self._pool = urllib3.PoolManager(
            maxsize=connections, retries=False, timeout=urllib3.Timeout(total=timeout_s)
        )

    def score(
        self,
        user: Mapping[str, Any] | None = None,
        item_ids: Sequence[Any] = (),
        *,
        context: Mapping[str, Cells] | None = None,
        item_features: Mapping[str, Cells] | None = None,
        meta: Mapping[str, str] | None = None,
        request_id: str = "",
    ) -> Scores:
        """Score items for a user; which values are taken is told in `recserve.client.request`."""
        request = build_request(user, item_ids, context=context, item_features=item_features, meta=meta)
        return self.send(request, request_id=request_id)

    def send(self, request: ScoreRequest, *, request_id: str = "") -> Scores:
        """Send a request that is built already, and raise a ClientError for anything but scores."""
        headers, body = self.post(torchrec.encode_request(request), request_id=request_id)
        try:
            response = torchrec.decode_response(body)
        except RequestError as error:
            raise ServiceError(
                f"{self.url} answered 200 with what is not a response: {error}", 200
            ) from error
        return Scores(
            outputs=response.outputs,
            item_ids=to_arrow(response.item_ids).to_pylist(),
            request_id=headers.get("X-Request-Id", ""),
            stages_ms=server_timing(headers.get("Server-Timing", "")),
            pass_through=response.pass_through,
        )

    def post(self, body: bytes, *, request_id: str = "") -> tuple[Mapping[str, str], bytes]:
        """Send bytes as they are; gives the headers and the body of a 200."""
        headers = {"Content-Type": "application/octet-stream", **self._authorization(body)}
        if request_id:
            headers["X-Request-Id"] = request_id
        return answered(self._pool, "POST", self.url, body=body, headers=headers)

    def close(self) -> None:
        """Close the kept connections."""
        self._pool.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _authorization(self, body: bytes) -> Mapping[str, str]:
        if not self._token:
            return {}
        if self._scheme == "token":
            return {"Authorization": self._token}
        return sign(self._token, urlsplit(self.url).path, body)


def server_timing(header: str) -> dict[str, float]:
    """`decode;dur=0.02, run;dur=3.1` → milliseconds by stage."""
    stages = {}
    for entry in header.split(","):
        stage, *parameters = [part.strip() for part in entry.split(";")]
        for parameter in parameters:
            key, _, value = parameter.partition("=")
            if key == "dur":
                stages[stage] = float(value)
    return stages
