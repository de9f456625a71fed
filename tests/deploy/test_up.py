from __future__ import annotations

import ipaddress
import socket

import pytest

from recserve.deploy.up import address_of


def test_an_address_stays_what_it_is() -> None:
    assert address_of("127.0.0.1") == "127.0.0.1"
    assert address_of("serving.example") == "serving.example"


def test_every_address_is_told_as_one_that_others_can_use() -> None:
    found = ipaddress.ip_address(address_of("0.0.0.0"))

    assert not found.is_unspecified
    with socket.socket() as listener:  # and it is this machine's
        listener.bind((str(found), 0))


def test_a_machine_without_a_network_is_told_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object) -> None:
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(socket.socket, "connect", unreachable)

    with pytest.raises(Exception, match=r"--host ::: .* \(Network is unreachable\); say it with --advertise"):
        address_of("::")
