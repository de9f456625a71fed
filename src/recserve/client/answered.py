"""One HTTP request of a client: headers and body of a 200, or a ClientError that says what came instead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import urllib3

from recserve.client.errors import TimedOutError, UnreachableError, error_of

if TYPE_CHECKING:
    from collections.abc import Mapping


def answered(
    pool: urllib3.PoolManager,
    method: str,
    url: str,
    *,
    body: bytes | None,
    headers: Mapping[str, str],
    timeout: urllib3.Timeout | None = None,
) -> tuple[Mapping[str, str], bytes]:
    """Send a request; gives the headers and the body of a 200. `timeout` is the pool's unless given."""
    limits: dict[str, Any] = {} if timeout is None else {"timeout": timeout}
    try:
        response = pool.request(method, url, body=body, headers=headers, redirect=False, **limits)
    except (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError) as error:
        # Kinds of timeout, to urllib3; but nobody has seen the request.
        raise UnreachableError(f"{url} cannot be reached: {error}") from error
    except urllib3.exceptions.TimeoutError as error:
        raise TimedOutError(f"{url} did not answer in time: {error}") from error
    except urllib3.exceptions.HTTPError as error:
        raise UnreachableError(f"{url} cannot be reached: {error}") from error
    if response.status != 200:
        raise error_of(url, response.status, response.data, response.headers)
    return response.headers, response.data
