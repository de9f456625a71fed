"""Clients in mode DIRECT learn where the service is, and nothing that would make them fail."""

from __future__ import annotations

import json
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.server.conftest import Doubler, read_answer, running, send, status_of

from recserve.config import service
from recserve.errors import ConfigError
from recserve.server.discovery import PATHS, endpoints

if TYPE_CHECKING:
    from tests.server.conftest import Rank


def items_of(body: bytes) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = json.loads(body)["endpoints"]["items"]
    return listed


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("more", ["", "?internal=true", "?internal=false", "/sub?a=b"])
def test_the_one_endpoint_is_the_address_that_was_reached(rank: Rank, path: str, more: str) -> None:
    response = rank.get(f"{path}/rank{more}")

    assert response.status == 200
    assert response.headers["content-type"] == "application/json"
    assert items_of(response.data) == [{"app": "rank", "ip": "127.0.0.1", "port": rank.port, "weight": 100}]


def test_another_name_and_another_method_are_refused(rank: Rank) -> None:
    for path in PATHS:
        assert rank.get(f"{path}/ranks").status == 404
        assert rank.get(f"{path}/ranks").data
        assert rank.get(path).status == 404
        assert rank.http.request("POST", f"{path}/rank", body=b"").status == 405


def test_what_java_sends_is_taken(rank: Rank) -> None:
    """Two types of content, a character set of its own, and `?internal=` of an empty value."""
    with socket.create_connection(("127.0.0.1", rank.port), 10) as connection:
        connection.sendall(
            f"GET {PATHS[0]}/rank?internal= HTTP/1.1\r\nHost: h\r\nContent-Type: text/plain\r\n"
            "Content-Type: application/json\r\nAccept-Charset: GBK\r\n\r\n".encode()
        )
        status, _, body = read_answer(connection)

    assert status == 200
    assert items_of(body)[0]["port"] == rank.port


def test_an_address_may_be_advertised() -> None:
    with running(advertised_address="rank.example:8080") as rank:
        (item,) = items_of(rank.get(f"{PATHS[0]}/rank").data)

    assert (item["ip"], item["port"]) == ("rank.example", 8080)


@pytest.mark.parametrize("address", ["rank.example", "8080", ":8080", "a:b", "a:0", "a:70000", "::1", "a:-1"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match=r"rpc\.advertised_address is '.*'; write host:port"):
        service.load({"name": "r", "metadata": {"rpc": {"advertised_address": address}}}, {})


def test_addresses_of_ipv6_have_brackets_and_those_of_ipv4_are_plain() -> None:
    for ip in ("fe80::1", "[fe80::1]"):
        assert items_of(endpoints("rank", ip, 80))[0]["ip"] == "[fe80::1]"
    assert items_of(endpoints("rank", "::ffff:10.0.0.1", 80))[0]["ip"] == "10.0.0.1"


def test_while_it_loads_clients_are_told_to_wait_rather_than_that_there_is_nobody() -> None:
    gate = threading.Event()

    def load() -> Doubler:
        gate.wait(20)
        return Doubler()

    with running(load, ready=False) as loading:
        answers = [loading.get(f"{path}/rank") for path in PATHS]
        gate.set()

    assert {(answer.status, answer.data) for answer in answers} == {(503, b"no healthy upstream")}


def test_while_it_drains_clients_keep_the_list_that_they_have() -> None:
    with running(drain_ms=20_000) as rank:
        rank.server.stop()
        while not rank.server.lifecycle.draining:
            time.sleep(0.001)

        answer = send(rank.port, f"GET {PATHS[1]}/rank HTTP/1.1\r\nHost: h\r\n\r\n".encode())

        assert status_of(answer) == 503
        assert b"connection: close" in answer.lower()
        assert rank.post().status == 200
