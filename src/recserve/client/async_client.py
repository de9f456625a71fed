"""The client for an event loop: what `Client` does, awaited.

async with AsyncClient("http://127.0.0.1:8000", "rank", token="…") as client:
    scores = await client.score(user={"user_id": "u1"}, item_ids=["i1", "i2"])
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self

from recserve.client.connection import Address, ReadingConnection
from recserve.client.errors import ClientError, TimedOutError, UnreachableError, error_of
from recserve.client.request import build_request
from recserve.client.scores import Scores
from recserve.client.service import ServiceClient, tensor_request
from recserve.wire import tensors, torchrec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike

    from recserve.client.cells import Cells
    from recserve.client.retry import Tries
    from recserve.client.targets import Discovery
    from recserve.messages import ScoreRequest, TensorResponse


class AsyncClient(ServiceClient):
    """One service, for any number of tasks of one event loop. Options: see ServiceClient.

    `connections` requests are under way at most; others wait their turn, within their timeout.
    """

    def _open(self) -> None:
        self._idle: dict[tuple[str, int], list[ReadingConnection]] = {}
        self._addresses: dict[str, Address] = {}
        self._free = asyncio.Semaphore(self._connections)
        self._look_ups: set[asyncio.Task[None]] = set()

    async def score(
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
        """See `Client.score`."""
        request = build_request(
            user,
            item_ids,
            context=context,
            item_features=item_features,
            debug_level=debug_level,
            neighbours=neighbours,
            meta=meta,
        )
        return await self.send(request, request_id=request_id)

    async def send(self, request: ScoreRequest, *, request_id: str = "") -> Scores:
        """See `Client.send`."""
        headers, body = await self.post(torchrec.encode_request(request), request_id=request_id)
        return self._read(lambda: Scores.read(headers, body))

    async def run(
        self,
        inputs: Mapping[str, ArrayLike] | Sequence[ArrayLike],
        *,
        fetch: Sequence[int] = (),
        debug_level: int = 0,
        request_id: str = "",
    ) -> TensorResponse:
        """See `Client.run`."""
        request = tensor_request(inputs, fetch, debug_level)
        _, body = await self.post(tensors.encode_request(request), request_id=request_id)
        return self._read(lambda: tensors.decode_response(body))

    async def post(self, body: bytes, *, request_id: str = "") -> tuple[Mapping[str, str], bytes]:
        """See `Client.post`."""
        body = self._packed(body)
        tries = self._tries()
        server = ""
        while True:
            try:
                await self._look_around(tries)
                server = self._targets.next(but=server)
                url = server + self._path
                answer = await self._ask("POST", url, tries, body, self._headers(url, body, request_id))
            except ClientError as error:
                await asyncio.sleep(self._wait_s(tries, server, error))
            else:
                self._targets.worked(server)
                return answer

    async def close(self) -> None:
        """Close the kept connections."""
        for look_up in self._look_ups:
            look_up.cancel()
        for connections in self._idle.values():
            for connection in connections:
                connection.close()
        self._idle.clear()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _ask(
        self, method: str, url: str, tries: Tries, body: bytes, headers: Mapping[str, str]
    ) -> tuple[Mapping[str, str], bytes]:
        address = self._addresses.get(url) or self._addresses.setdefault(url, Address.parse(url))
        request = address.encode(body, headers, method)
        try:
            async with asyncio.timeout(tries.left_s(url)), self._free:
                status, received, answer = await self._exchange(address, request)
        except TimeoutError as error:
            raise TimedOutError(f"{url} did not answer in time") from error
        except OSError as error:
            raise UnreachableError(f"{url} cannot be reached: {error}") from error
        if status != 200:
            raise error_of(url, status, answer, received)
        return received, answer

    async def _exchange(self, address: Address, request: bytes) -> tuple[int, Mapping[str, str], bytes]:
        idle = self._idle.setdefault((address.host, address.port), [])
        while idle and not idle[-1].usable:  # the server closed it meanwhile
            idle.pop()
        connection = idle.pop() if idle else await self._connect(address)
        try:
            status = await connection.ask(request)
        except BaseException:  # a timeout cancels: what still comes must not answer the next request
            connection.close()
            raise
        if connection.usable:
            idle.append(connection)
        else:
            connection.close()
        return status, connection.headers, connection.body

    async def _connect(self, address: Address) -> ReadingConnection:
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                return await ReadingConnection.open(address, self._tls)
        except TimeoutError as error:
            where = f"{address.host}:{address.port}"
            raise UnreachableError(
                f"{where} cannot be reached: no connection within {self._connect_timeout_s:g} s"
            ) from error

    async def _look_around(self, tries: Tries) -> None:
        """Learn who serves: before this call if nobody is known, else beside it."""
        if self._discovery is None or not self._discovery.due():
            return
        if len(self._targets):
            look_up = asyncio.create_task(self._look_up(self._discovery))
            self._look_ups.add(look_up)
            look_up.add_done_callback(self._look_ups.discard)
        else:
            await self._look_up(self._discovery, tries)

    async def _look_up(self, discovery: Discovery, tries: Tries | None = None) -> None:
        answer = None
        try:
            _, answer = await self._ask("GET", discovery.url, tries or self._tries(), b"", {})
        except ClientError:
            if tries is not None:
                raise
        finally:
            discovery.asked(answer)
