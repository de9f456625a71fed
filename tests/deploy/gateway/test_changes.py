"""What the gateway is told, from what it should know and what it knows."""

from __future__ import annotations

from recserve.deploy.gateway.changes import changes
from recserve.deploy.gateway.routes import Route, Routes, Server
from recserve.deploy.gateway.runtime import Known, Observed

A, B = Server("a-1-aa.80", "127.0.0.1:80", 9), Server("a-1-bb.81", "127.0.0.1:81", 1)
WANTED = Routes({"a": Route("a")}, {"a": {one.name: one for one in (A, B)}})
TOLD = "slot0:a:0:0:::0::"


def test_servers_are_told_before_the_name_that_leads_to_them() -> None:
    assert changes(WANTED, Observed({}, {"slot0": {}})) == [
        "add server slot0/a-1-aa.80 127.0.0.1:80 weight 9",
        "set server slot0/a-1-aa.80 state ready",
        "add server slot0/a-1-bb.81 127.0.0.1:81 weight 1",
        "set server slot0/a-1-bb.81 state ready",
        f"add map routes.map a {TOLD}",
        "add map routes.map * yes",
    ]


def test_nothing_is_told_to_whoever_knows_it_all() -> None:
    known = {A.name: Known(A.address, 9, resting=False), B.name: Known(B.address, 1, resting=False)}

    assert changes(WANTED, Observed({"a": TOLD, "*": "yes"}, {"slot0": known})) == []


def test_who_goes_rests_first_and_is_deleted_until_that_is_done() -> None:
    known = {
        A.name: Known(A.address, 8, resting=True),
        B.name: Known(B.address, 1, resting=False),
        "a-1-old.82": Known("127.0.0.1:82", 1, resting=False),
        "a-1-cc.83": Known("127.0.0.1:83", 1, resting=True),
    }

    assert changes(WANTED, Observed({"a": TOLD, "*": "yes"}, {"slot0": known})) == [
        "set server slot0/a-1-aa.80 weight 9",
        "set server slot0/a-1-aa.80 state ready",
        "set server slot0/a-1-old.82 state maint",
        "del server slot0/a-1-old.82",
        "del server slot0/a-1-cc.83",
    ]


def test_a_slot_is_given_away_when_it_is_empty_and_a_name_without_one_has_nobody() -> None:
    leaving = {"z-1-aa.90": Known("127.0.0.1:90", 1, resting=True)}
    observed = Observed({"z": "slot0:z:0:0:::0::", "*": "yes"}, {"slot0": leaving})

    assert changes(WANTED, observed) == [
        "add map routes.map a none:a:0:0:::0::",
        "del map routes.map z",
        "del server slot0/z-1-aa.90",
    ]


def test_a_route_that_changes_is_changed_in_one_step() -> None:
    wanted = Routes({"a": Route("a", rate=5, tokens=("dA==",), prefix="/v1/")}, {"a": {}})

    assert changes(wanted, Observed({"a": TOLD, "*": "yes"}, {"slot0": {}})) == [
        "set map routes.map a slot0:a:5:0:dA==::0::/v1/"
    ]
