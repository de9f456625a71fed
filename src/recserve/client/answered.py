"""One HTTP request of a client: headers and body of a 200, or a ClientError that says what came instead."""

from __future__ import annotations

from typing import TYPE_CHECKING

import urllib3

from recserve.client.errors import TimedOutError, UnreachableError, error_of

if TYPE_CHECKING:
    from collections.abc import Mapping


def answered(
    pool: urllib3.PoolManager, method: str, url: str, *, body: bytes | None, headers: Mapping[str, str]
) -> tuple[Mapping[str, str], bytes]:
    """Send a request; gives the headers and the body of a 200."""
    try:
        response = pool.request(method, url, body=body, headers=headers, redirect=False)
    except urllib3.exceptions.NewConnectionError as error:  # a kind of timeout, to urllib3
        raise UnreachableError(f"{url} cannot be reached: {error}") from error
    except urllib3.exceptions.TimeoutError as error:
        raise TimedOutError(f"{url} did not answer in time: {error}") from error
    except urllib3.exceptions.HTTPError as error:
        raise UnreachableError(f"{url} cannot be reached: {error}") from error
    if response.status != 200:
        raise error_of(url, response.status, response.data, response.headers.get("X-Request-Id", ""))
    return response.headers, response.data
