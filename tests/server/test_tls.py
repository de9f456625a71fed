"""TLS on every port: who is let in, what is refused at the start, and certificates that are replaced."""

from __future__ import annotations

import json
import logging
import re
import socket
import ssl
import time
from typing import TYPE_CHECKING, Any

import grpc
import pytest
import urllib3
from tests.server.certificates import Pair, authority, signed
from tests.server.conftest import DOUBLE, Rank, running
from tests.server.test_grpc_door import RUN, TOKEN, doubled

from recserve.config.rpc import Rpc
from recserve.errors import ConfigError
from recserve.server.tls import Tls, tls, validities

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CA = authority()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With a certificate, its key, and the authorities of clients, under the names that `SECURE` has."""
    signed(CA).write(tmp_path, "server")
    (tmp_path / "ca.pem").write_bytes(CA.pem)
    return tmp_path


def secure(folder: Path, **more: Any) -> dict[str, Any]:
    """Keys of metadata.rpc."""
    return {"tls_certificate": str(folder / "server.pem"), "tls_key": str(folder / "server.key"), **more}


def trusting(authority: Pair = CA, client: tuple[Path, Path] | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=authority.pem.decode())
    if client is not None:
        context.load_cert_chain(*client)
    return context


def post(rank: Rank, context: ssl.SSLContext, body: bytes = DOUBLE) -> urllib3.BaseHTTPResponse:
    with urllib3.HTTPSConnectionPool("127.0.0.1", rank.port, ssl_context=context, retries=False) as pool:
        return pool.request("POST", "/api/predict/rank", body=body, headers={"Authorization": "token"})


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


# --- connections ---


def test_requests_are_answered_to_clients_that_trust_the_authority(folder: Path) -> None:
    with running(**secure(folder)) as rank:
        response = post(rank, trusting())
        assert (response.status, doubled(response.data)) == (200, [3.0, 4.0])
        assert rank.server.url == f"https://127.0.0.1:{rank.port}/api/predict/rank"


def test_a_pooled_connection_is_used_again_and_large_bodies_pass(folder: Path) -> None:
    with (
        running(**secure(folder)) as rank,
        urllib3.HTTPSConnectionPool("127.0.0.1", rank.port, ssl_context=trusting(), retries=False) as pool,
    ):
        content = json.dumps({"inputs": {"x": [float(value) for value in range(200_000)]}})
        for _ in range(3):
            response = pool.request(
                "POST", "/v1/score/rank", body=content, headers={"Authorization": "token"}
            )
            told = json.loads(response.data)["outputs"]["y"]["values"]
            assert told == [2.0 * value for value in range(200_000)]
        assert pool.num_connections == 1


def test_a_client_that_does_not_trust_the_authority_gives_up_and_disturbs_nobody(folder: Path) -> None:
    with running(**secure(folder)) as rank:
        with pytest.raises(urllib3.exceptions.SSLError, match="certificate verify failed"):
            post(rank, trusting(authority("another")))
        assert post(rank, trusting()).status == 200


def test_plain_http_on_a_tls_port_is_not_answered(folder: Path) -> None:
    with running(**secure(folder)) as rank:
        with socket.create_connection(("127.0.0.1", rank.port), 10) as connection:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
            assert b"200 OK" not in connection.recv(1000)
        assert post(rank, trusting()).status == 200


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_versions_before_1_2_are_refused(folder: Path) -> None:
    context = trusting()
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with running(**secure(folder)) as rank, pytest.raises(urllib3.exceptions.SSLError, match="protocol"):
        post(rank, context)


def test_clients_need_a_certificate_where_an_authority_of_theirs_is_named(folder: Path) -> None:
    signed(CA, "a client").write(folder, "client")
    other = authority("another")
    signed(other, "a stranger").write(folder, "stranger")
    with running(**secure(folder, tls_client_ca=str(folder / "ca.pem"))) as rank:
        known = trusting(client=(folder / "client.pem", folder / "client.key"))
        assert post(rank, known).status == 200
        for context in (trusting(), trusting(client=(folder / "stranger.pem", folder / "stranger.key"))):
            with pytest.raises(urllib3.exceptions.HTTPError):
                post(rank, context)
        assert post(rank, known).status == 200


def test_the_admin_port_has_tls_too(folder: Path) -> None:
    with (
        running(**secure(folder, admin_port=-1)) as rank,
        urllib3.HTTPSConnectionPool(
            "127.0.0.1", rank.server.admin_port, ssl_context=trusting(), retries=False
        ) as pool,
    ):
        assert pool.request("GET", "/items/status").status == 401
        assert rank.server.admin_url.startswith("https://")


@pytest.mark.parametrize("with_client_ca", [False, True])
def test_grpc_has_tls_too(folder: Path, with_client_ca: bool) -> None:
    client = signed(CA, "a client")
    more = {"tls_client_ca": str(folder / "ca.pem")} if with_client_ca else {}
    with running(**secure(folder, grpc_port=-1, **more)) as rank:
        address = f"127.0.0.1:{rank.server.grpc_port}"
        trusted = grpc.ssl_channel_credentials(
            CA.pem, *((client.key_pem(), client.pem) if with_client_ca else ())
        )
        with grpc.secure_channel(address, trusted) as channel:
            assert doubled(channel.unary_unary(RUN)(DOUBLE, metadata=TOKEN, timeout=20)) == [3.0, 4.0]
        refused = grpc.ssl_channel_credentials(CA.pem if with_client_ca else authority("another").pem)
        with grpc.secure_channel(address, refused) as channel, pytest.raises(grpc.RpcError) as raised:
            channel.unary_unary(RUN)(DOUBLE, metadata=TOKEN, timeout=20)
        assert raised.value.code() is grpc.StatusCode.UNAVAILABLE


def test_a_drain_ends_with_tls_connections_open(folder: Path) -> None:
    with (
        running(**secure(folder)) as rank,
        urllib3.HTTPSConnectionPool("127.0.0.1", rank.port, ssl_context=trusting()) as pool,
    ):
        assert pool.request("GET", "/healthz").status == 200
        rank.server.stop()
        rank.server.stop()
        wait_for(lambda: rank.status == 0)


# --- rotation ---


def serial_of(port: int) -> str:
    with (
        socket.create_connection(("127.0.0.1", port), 10) as connection,
        trusting().wrap_socket(connection, server_hostname="127.0.0.1") as secured,
    ):
        told = secured.getpeercert()
        assert told is not None
        return str(told["serialNumber"])


def test_replaced_files_are_taken_up_while_open_connections_go_on(folder: Path) -> None:
    with (
        running(**secure(folder, grpc_port=-1)) as rank,
        urllib3.HTTPSConnectionPool("127.0.0.1", rank.port, ssl_context=trusting(), retries=False) as pool,
    ):
        assert pool.request("GET", "/healthz").status == 200
        before = serial_of(rank.port), serial_of_grpc(rank)
        renewed = signed(CA)
        renewed.write(folder, "server")
        wait_for(lambda: serial_of(rank.port) != before[0])
        assert int(serial_of(rank.port), 16) == renewed.certificate.serial_number
        wait_for(lambda: serial_of_grpc(rank) != before[1])
        assert pool.request("GET", "/healthz").status == 200
        assert pool.num_connections == 1


def serial_of_grpc(rank: Rank) -> str:
    context = trusting()
    context.set_alpn_protocols(["h2"])
    with (
        socket.create_connection(("127.0.0.1", rank.server.grpc_port), 10) as connection,
        context.wrap_socket(connection, server_hostname="127.0.0.1") as secured,
    ):
        told = secured.getpeercert()
        assert told is not None
        return str(told["serialNumber"])


def test_files_that_do_not_fit_leave_the_old_ones_in_place(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keeper = Tls(folder / "server.pem", folder / "server.key", None)
    before = keeper.pems

    assert not keeper.renew()
    renewed = signed(CA)
    (folder / "server.pem").write_bytes(renewed.pem)  # the first half of a rotation
    assert not keeper.renew()
    assert keeper.pems == before
    assert "does not fit the certificate" in caplog.text
    (folder / "server.key").write_bytes(renewed.key_pem())
    assert keeper.renew()
    assert keeper.pems.certificate == renewed.pem
    (folder / "server.pem").unlink()
    assert not keeper.renew()
    assert "cannot be read" in caplog.text


# --- what is refused at the start, and what is warned of ---


def rpc(**settings: str) -> Rpc:
    return Rpc(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tls_certificate": "none.pem"}, "tls_certificate: .*none.pem cannot be read: No such file"),
        (
            {"tls_certificate": "server.pem", "tls_key": "none"},
            "tls_key: .*none cannot be read: No such file",
        ),
        ({"tls_certificate": "server.pem"}, "no PEM certificate and key"),
        ({"tls_certificate": "server.pem", "tls_key": "other.key"}, "the key .*other.key does not fit"),
        ({"tls_certificate": "text", "tls_key": "server.key"}, "no PEM certificate and key"),
        ({"tls_certificate": "server.pem", "tls_key": "text"}, "no PEM certificate and key"),
        ({"tls_certificate": "server.pem", "tls_key": "locked.key"}, "tls_key: the key is encrypted"),
        (
            {"tls_certificate": "server.pem", "tls_key": "server.key", "tls_client_ca": "text"},
            "tls_client_ca: .*text holds no PEM certificate",
        ),
    ],
)
def test_files_that_cannot_work_are_refused_by_setting_and_file(
    folder: Path, settings: dict[str, str], message: str
) -> None:
    signed(CA).write(folder, "other")
    (folder / "text").write_text("no certificate")
    (folder / "locked.key").write_bytes(signed(CA).key_pem(b"password"))

    with pytest.raises(ConfigError, match=f"metadata.rpc.{message}" if "tls" in message else message):
        tls(rpc(**settings), folder)


def test_one_file_may_hold_both(folder: Path) -> None:
    pair = signed(CA)
    (folder / "both.pem").write_bytes(pair.pem + pair.key_pem())

    assert tls(rpc(tls_certificate="both.pem"), folder) is not None
    assert tls(rpc(), folder) is None


@pytest.mark.parametrize(
    ("begins", "ends", "message"),
    [
        (-10, -2, "certificate 1 of .*server.pem has expired 2.0 days ago"),
        (-10, 5, "expires in 5.0 days"),
        (2, 100, "is not valid yet"),
        (-10, 90, ""),
    ],
)
def test_a_certificate_that_clients_will_refuse_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, begins: float, ends: float, message: str
) -> None:
    signed(CA, begins_days=begins, ends_days=ends).write(tmp_path, "server")

    with caplog.at_level(logging.WARNING, "recserve.tls"):
        tls(rpc(tls_certificate="server.pem", tls_key="server.key"), tmp_path)

    warned = [record.getMessage() for record in caplog.records]
    assert len(warned) == bool(message)
    assert not message or re.search(message, warned[0])


def test_every_certificate_of_a_chain_is_looked_at_and_nonsense_is_passed_over() -> None:
    pair = signed(CA)
    broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"

    found = list(validities(pair.pem + broken + b"text" + CA.pem))

    assert found == [
        (pair.certificate.not_valid_before_utc.timestamp(), pair.certificate.not_valid_after_utc.timestamp()),
        (CA.certificate.not_valid_before_utc.timestamp(), CA.certificate.not_valid_after_utc.timestamp()),
    ]
