"""Over TLS a client knows its server by an authority, and may have to show who it is itself."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest
from tests.certificates import Authority
from tests.client.test_client import ONCE, calls, numbers, score_a

from recserve.client import UnreachableError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.client.conftest import Answering
    from tests.client.test_client import Calls

__all__ = ["calls"]  # the fixture


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def server_tls(authority: Authority, *, asks_clients: bool = False) -> ssl.SSLContext:
    shown = authority.certify("server")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(shown.certificate, shown.key)
    if asks_clients:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(authority.ca)
    return context


def test_a_server_is_known_by_its_authority(answering: Answering, calls: Calls, authority: Authority) -> None:
    with answering(numbers, server_tls(authority)) as server:
        first, second = calls(server.url, score_a, score_a, ca=authority.ca)

    assert first.item_ids == second.item_ids == ["a"]
    assert server.connections == 1


def test_a_server_of_another_authority_is_told_nothing(
    answering: Answering, calls: Calls, authority: Authority, tmp_path: Path
) -> None:
    other = Authority(tmp_path, "other")

    with answering(numbers, server_tls(authority)) as server:
        for options in ({}, {"ca": other.ca}):
            with pytest.raises(UnreachableError, match="certificate verify failed"):
                calls(server.url, score_a, retry=ONCE, token="s3cret", **options)

    assert server.received == []


def test_a_client_shows_who_it_is_where_it_is_asked(
    answering: Answering, calls: Calls, authority: Authority
) -> None:
    own = authority.certify("client")
    with answering(numbers, server_tls(authority, asks_clients=True)) as server:
        calls(server.url, score_a, ca=authority.ca, certificate=(own.certificate, own.key))
        with pytest.raises(UnreachableError):
            calls(server.url, score_a, ca=authority.ca, retry=ONCE)

    assert len(server.received) == 1
