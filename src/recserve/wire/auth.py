"""Who may ask: a plain token, or a signature made with it.

    Authorization: <token>
    Authorization: EAS <base64 of HMAC-SHA1(token, message)>

    message = method \\n Content-MD5 \\n Content-Type \\n Date \\n path[?query]

Every rule below lets in a client that exists:

1. the message is built from the header strings as received;
2. Date may be off, by whole time zones (Python and Go clients write local time with the label GMT);
3. Content-MD5 is not compared with the body (the Java client drops leading zeros);
4. the path is signed with the query or without it (Python), with one trailing slash or without it (Go);
5. a header that is missing counts as empty, names are in any case;
6. comparisons take the same time wherever they differ; without tokens everybody may ask;
7. a refusal is UnauthorizedError, 401, with a short text.

Source: eas_prediction 0.36, eas-sdk 2.0.32, eas-golang-sdk, pairec.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from email.utils import formatdate
from typing import TYPE_CHECKING

from recserve.errors import UnauthorizedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_SCHEME = b"EAS "


class Authorizer:
    """Lets in whoever knows one of the tokens; several are valid at once while they are rotated."""

    def __init__(self, tokens: Iterable[str] = ()) -> None:
        """Empty tokens are ignored; without any the service is open."""
        self._tokens = tuple(token.encode() for token in tokens if token)

    def __repr__(self) -> str:
        return f"Authorizer({len(self._tokens)} tokens)"

    def check(self, method: str, target: str, headers: Mapping[str, str]) -> None:
        """Raise UnauthorizedError unless the headers prove a token.

        `target` is the request target as received: the path, percent-encoded, and "?query" if there is one.
        """
        if not self._tokens:
            return
        received = {name.lower(): value for name, value in headers.items()}
        authorization = _bytes(received.get("authorization", ""))
        if not authorization:
            raise UnauthorizedError("not authorized: the request has no Authorization header")
        if _is_one_of(authorization, self._tokens):
            return
        if not authorization.startswith(_SCHEME):
            raise UnauthorizedError("not authorized: the token is not one of this service")
        signature = authorization.removeprefix(_SCHEME).strip()
        for resource in _resources(target):
            message = _message(method, resource, received)
            if _is_one_of(signature, [_signature(token, message) for token in self._tokens]):
                return
        raise UnauthorizedError(
            "not authorized: the signature does not fit the token, the path and the headers"
        )


def sign(
    token: str,
    target: str,
    body: bytes,
    *,
    method: str = "POST",
    content_type: str = "application/octet-stream",
    date: str | None = None,
) -> dict[str, str]:
    """Headers that prove `token` without sending it; `date` is now unless given."""
    headers = {
        "Content-MD5": hashlib.md5(body, usedforsecurity=False).hexdigest(),
        "Content-Type": content_type,
        "Date": date or formatdate(usegmt=True),
    }
    message = _message(method, target, {name.lower(): value for name, value in headers.items()})
    headers["Authorization"] = (_SCHEME + _signature(token.encode(), message)).decode()
    return headers


def _resources(target: str) -> Iterable[str]:
    """What a client may have signed, given what it sent (rule 4)."""
    path, question, query = target.partition("?")
    other = path.removesuffix("/") if path.endswith("/") else path + "/"
    return dict.fromkeys((target, path, other + question + query, other))


def _is_one_of(given: bytes, wanted: Iterable[bytes]) -> bool:
    """Compared with each, to the end, so that the time says nothing."""
    found = False
    for text in wanted:
        found |= hmac.compare_digest(given, text)
    return found


def _message(method: str, resource: str, headers: Mapping[str, str]) -> bytes:
    signed = (headers.get(name, "") for name in ("content-md5", "content-type", "date"))
    return _bytes("\n".join((method, *signed, resource)))


def _signature(token: bytes, message: bytes) -> bytes:
    return base64.b64encode(hmac.digest(token, message, "sha1"))


def _bytes(text: str) -> bytes:
    """A header as it came: servers decode its bytes as Latin-1; a caller's own text may go beyond."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode()
