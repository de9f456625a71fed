"""The page to try a service: complete in itself, and allowed nothing but itself."""

from __future__ import annotations

import base64
import hashlib
import re
import threading
from html.parser import HTMLParser

import pytest
from tests.server.conftest import Doubler, Rank, running


class Seen(HTMLParser):
    """Tags with their attributes, and what stands inside of script and style."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inside: dict[str, str] = {}
        self._open = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        self._open = tag

    def handle_data(self, data: str) -> None:
        if self._open in ("script", "style"):
            self.inside[self._open] = self.inside.get(self._open, "") + data

    def handle_endtag(self, tag: str) -> None:
        self._open = ""


def test_the_page_is_shown_without_a_token_and_also_while_the_service_loads() -> None:
    gate = threading.Event()

    def load() -> Doubler:
        gate.wait(20)
        return Doubler()

    with running(load, ready=False) as rank:
        response = rank.get("/docs")
        gate.set()

    assert (response.status, response.headers["content-type"]) == (200, "text/html; charset=utf-8")


def test_it_asks_nobody_else_for_anything(rank: Rank) -> None:
    page = rank.get("/docs").data.decode()

    addresses = [
        value
        for _, attributes in Seen(page).tags
        for name, value in attributes.items()
        if name in ("src", "href", "action", "srcset") or name.startswith("on") or name == "style"
    ]
    assert addresses == []
    assert "//" not in re.sub(r"^\s*// .*$", "", page, flags=re.MULTILINE)
    assert "innerHTML" not in page


def test_its_policy_allows_its_own_script_and_style_alone(rank: Rank) -> None:
    response = rank.get("/docs")
    seen = Seen(response.data.decode())
    policy = dict(part.split(" ", 1) for part in response.headers["content-security-policy"].split("; "))

    for kind in ("script", "style"):
        digest = base64.b64encode(hashlib.sha256(seen.inside[kind].encode()).digest()).decode()
        assert policy[f"{kind}-src"] == f"'sha256-{digest}'"
    assert policy["default-src"] == "'none'"
    assert policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert response.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_there_is_nothing_to_post_to_it(rank: Rank, method: str) -> None:
    assert rank.http.request(method, "/docs").status == 405
