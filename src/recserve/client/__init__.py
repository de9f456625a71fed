"""The client: plain values, columns and tables ──request──▶ bytes ──client──▶ scores.

    from recserve.client import Client

    with Client("http://127.0.0.1:8000", "rank", token="…") as client:
        scores = client.score(user={"user_id": "u1"}, item_ids=["i1", "i2"])

| file                         | what it has                                                              |
|------------------------------|--------------------------------------------------------------------------|
| client, async_client         | `Client` for threads, `AsyncClient` for an event loop; both are a service |
| request, builder, cells      | a request at once, step by step or of tables; what values become         |
| scores, errors               | what comes back                                                          |
| retry, targets               | how often, and where to                                                  |
| items                        | the admin port                                                           |
| load, sample                 | many requests, and made-up ones                                          |

Needs neither torch nor protobuf.
"""

from recserve.client.async_client import AsyncClient
from recserve.client.builder import RequestBuilder
from recserve.client.client import Client
from recserve.client.errors import (
    ClientError,
    NotAuthorizedError,
    NotReadyError,
    OverloadedError,
    RefusedError,
    ServiceError,
    TimedOutError,
    UnreachableError,
)
from recserve.client.request import build_request
from recserve.client.retry import Retry
from recserve.client.scores import Scores

__all__ = [
    "AsyncClient",
    "Client",
    "ClientError",
    "NotAuthorizedError",
    "NotReadyError",
    "OverloadedError",
    "RefusedError",
    "RequestBuilder",
    "Retry",
    "Scores",
    "ServiceError",
    "TimedOutError",
    "UnreachableError",
    "build_request",
]
