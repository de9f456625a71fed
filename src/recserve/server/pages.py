"""`GET /openapi.json` and `GET /docs`: the JSON door described for programs, and a page to try it.

The page is one file of ours (pages/docs.html): it works offline, asks nobody but this server, and may run no
script but its own, whose hash stands in the answer's Content-Security-Policy. It needs no token to be shown,
since browsers send none; what it shows of the service it asks for with the token that a person types.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from recserve.server.openapi import document
from recserve.server.operators import JSON
from recserve.server.routes import Route

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recserve.processors.processor import Processor
    from recserve.server.door import Door, Exchange

_PAGE = Path(__file__).parent / "pages" / "docs.html"


class Pages:
    """Both paths."""

    def __init__(self, service: str, door: Door, *, needs_token: bool) -> None:
        self._service = service
        self._door = door
        self._needs_token = needs_token
        self._document = b""  # until the service is ready
        self._page = _PAGE.read_bytes()
        self._policy = policy(self._page)

    def routes(self) -> Iterator[Route]:
        """See routes.py."""
        yield Route("/openapi.json", {"GET": self._describe})
        yield Route("/docs", {"GET": self._show}, token=False)

    def serve(self, processor: Processor) -> None:
        """Describe what answers from now on."""
        described = document(self._service, processor, needs_token=self._needs_token)
        self._document = json.dumps(described, ensure_ascii=False, allow_nan=False).encode()

    async def _describe(self, exchange: Exchange) -> None:
        await self._door.answer(exchange, 200, self._document, [(b"content-type", JSON)])

    async def _show(self, exchange: Exchange) -> None:
        headers = [
            (b"content-type", b"text/html; charset=utf-8"),
            (b"content-security-policy", self._policy),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
            (b"cache-control", b"no-cache"),
        ]
        await self._door.answer(exchange, 200, self._page, headers)


def policy(page: bytes) -> bytes:
    """What the page may do: run its own script, look as it says, ask this server. Nobody may frame it."""
    (script,) = re.findall(rb"<script>(.*?)</script>", page, re.DOTALL)
    (style,) = re.findall(rb"<style>(.*?)</style>", page, re.DOTALL)
    return (
        b"default-src 'none'; connect-src 'self'; script-src %s; style-src %s; "
        b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'" % (_hash(script), _hash(style))
    )


def _hash(text: bytes) -> bytes:
    return b"'sha256-%s'" % base64.b64encode(hashlib.sha256(text).digest())
