"""A client of one service: `Client(url, name, token).score(user=…, item_ids=…)` gives arrays by output name.

with Client("http://127.0.0.1:8000", "rank", token="…") as client:
    scores = client.score(user={"user_id": "u1"}, item_ids=["i1", "i2"])
    scores["probs_ctr"]     # array of 2
    scores.ranked()         # [("i2", 0.31), ("i1", 0.07)]

`async_client.py` has the same for an event loop.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Self

import urllib3

from recserve.client.answered import answered
from recserve.client.errors import ClientError
from recserve.client.request import build_request
from recserve.client.scores import Scores, server_timing
from recserve.client.service import Scheme, ServiceClient, tensor_request
from recserve.wire import tensors, torchrec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike

    from recserve.client.cells import Cells
    from recserve.client.retry import Tries
    from recserve.client.targets import Discovery
    from recserve.messages import ScoreRequest, TensorResponse

__all__ = ["Client", "Scheme", "Scores", "server_timing"]


class Client(ServiceClient):
    """One service; safe for threads, with a pool of kept connections. Options: see ServiceClient."""

    def _open(self) -> None:
        self._pool = urllib3.PoolManager(maxsize=self._connections, retries=False, ssl_context=self._tls)

    def score(
        self,
        user: Mapping[str, Any] | None = None,
        item_ids: Cells = (),
        *,
        context: Mapping[str, Cells] | None = None,
        item_features: Mapping[str, Cells] | None = None,
        meta: Mapping[str, str] | None = None,
        debug_level: int = 0,
        neighbours: int = 0,
        request_id: str = "",
    ) -> Scores:
        """Score items for a user; which values are taken is told in `recserve.client.cells`."""
        request = build_request(
            user,
            item_ids,
            context=context,
            item_features=item_features,
            debug_level=debug_level,
            neighbours=neighbours,
            meta=meta,
        )
        return self.send(request, request_id=request_id)

    def send(self, request: ScoreRequest, *, request_id: str = "") -> Scores:
        """Send a request that is built already, and raise a ClientError for anything but scores."""
        headers, body = self.post(torchrec.encode_request(request), request_id=request_id)
        return self._read(lambda: Scores.read(headers, body))

    def run(
        self,
        inputs: Mapping[str, ArrayLike] | Sequence[ArrayLike],
        *,
        fetch: Sequence[int] = (),
        debug_level: int = 0,
        request_id: str = "",
    ) -> TensorResponse:
        """Run a model without feature generation (`fg_mode: bypass`) on tensors, by name or by position.

        Inputs by name are answered in `named_outputs`, by position in `outputs`; `fetch` chooses among these.
        """
        request = tensor_request(inputs, fetch, debug_level)
        _, body = self.post(tensors.encode_request(request), request_id=request_id)
        return self._read(lambda: tensors.decode_response(body))

    def post(self, body: bytes, *, request_id: str = "") -> tuple[Mapping[str, str], bytes]:
        """Send the bytes of a request, again if that may help; gives the headers and the body of a 200."""
        body = self._packed(body)
        tries = self._tries()
        server = ""
        while True:
            try:
                self._look_around(tries)
                server = self._targets.next(but=server)
                url = server + self._path
                answer = self._ask("POST", url, tries, body, self._headers(url, body, request_id))
            except ClientError as error:
                time.sleep(self._wait_s(tries, server, error))
            else:
                self._targets.worked(server)
                return answer

    def close(self) -> None:
        """Close the kept connections."""
        self._pool.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(
        self, method: str, url: str, tries: Tries, body: bytes | None, headers: Mapping[str, str]
    ) -> tuple[Mapping[str, str], bytes]:
        left = tries.left_s(url)
        timeout = urllib3.Timeout(connect=min(self._connect_timeout_s, left), total=left)
        return answered(self._pool, method, url, body=body, headers=headers, timeout=timeout)

    def _look_around(self, tries: Tries) -> None:
        """Learn who serves: before this call if nobody is known, else beside it."""
        if self._discovery is None or not self._discovery.due():
            return
        if len(self._targets):
            threading.Thread(target=self._look_up, args=(self._discovery,), daemon=True).start()
        else:
            self._look_up(self._discovery, tries)

    def _look_up(self, discovery: Discovery, tries: Tries | None = None) -> None:
        answer = None
        try:
            _, answer = self._ask("GET", discovery.url, tries or self._tries(), None, {})
        except ClientError:
            if tries is not None:
                raise
        finally:
            discovery.asked(answer)
