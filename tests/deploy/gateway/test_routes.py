from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from recserve.deploy.errors import RefusedError
from recserve.deploy.gateway.policy import Policy, policy
from recserve.deploy.gateway.routes import routes
from recserve.deploy.records import Instance, Phase, Rollout, Service, Wanted
from recserve.errors import ConfigError

APP = Policy(prefix="/")


def service(name: str, **changes: Any) -> Service:
    return replace(Service(name, "uid", "", 1, 1, Rollout(1, 1, 0.0)), **changes)


def instance(service: str, letter: str = "a", **changes: Any) -> Instance:
    made = Instance(f"{service}-1-{letter}", service, 1, Phase.READY, 0.0, 0.0, host="127.0.0.1", port=80)
    return replace(made, **changes)


def test_a_service_a_group_and_a_member_of_it_are_names() -> None:
    services = {"a": service("a", group="all", grouped=True), "b": service("b", group="all")}

    found = routes(services, [instance("a"), instance("b")], {"a": Policy(), "b": Policy()})

    assert {name: route.target for name, route in found.names.items()} == {
        "a": "a",
        "b": "b",
        "all": "all",
        "all.a": "a",
        "all.b": "b",
    }
    assert set(found.targets["all"]) == {"a-1-a.80"}


def test_weights_fit_into_haproxys_and_nobody_is_left_out() -> None:
    services = {
        "a": service("a", group="all", grouped=True, weight=1000),
        "b": service("b", group="all", grouped=True, weight=1),
    }

    found = routes(services, [instance("a"), instance("b")], {"a": Policy(), "b": Policy()})

    assert {one.weight for one in found.targets["all"].values()} == {256, 1}


def test_a_group_lets_in_what_its_members_do_together() -> None:
    services = {name: service(name, group="all", grouped=True) for name in ("a", "b")}

    limited = routes(services, [], {"a": Policy(5, 2), "b": Policy(10, 0)}).names["all"]

    assert (limited.rate, limited.concurrency) == (15, 0)


def test_a_group_of_apps_is_never_open_because_it_has_no_token_of_its_own() -> None:
    services = {"a": service("a", group="all", grouped=True, token="secret")}

    assert routes(services, [], {"a": APP}).names["all"].tokens
    assert not routes(services, [], {"a": Policy()}).names["all"].tokens, "scorers check it themselves"


@pytest.mark.parametrize("group", ["x; disable frontend gateway", "a\nb", "a:b", "ö", "x" * 300])
def test_a_group_of_other_letters_is_not_routed(group: str) -> None:
    found = routes({"a": service("a", group=group, grouped=True)}, [], {"a": Policy()})

    assert set(found.names) == {"a"}


def test_instances_of_odd_hosts_and_services_that_go_are_left_out() -> None:
    services = {"a": service("a"), "b": service("b", wanted=Wanted.DELETED), "c": service("c")}

    found = routes(services, [instance("a", host="x y"), instance("a", "b")], {"a": Policy(), "b": Policy()})

    assert set(found.names) == {"a"}
    assert set(found.targets["a"]) == {"a-1-b.80"}


def test_an_address_of_ipv6_has_brackets() -> None:
    found = routes({"a": service("a")}, [instance("a", host="::1")], {"a": Policy()})

    assert [one.address for one in found.targets["a"].values()] == ["[::1]:80"]


def test_a_mirror_that_is_gone_gets_nothing() -> None:
    services = {"a": service("a", mirror={"ratio": 10, "target": ["gone"]})}

    assert routes(services, [], {"a": Policy()}).names["a"].mirrored == 0


def test_a_document_says_limits_and_the_path_of_an_app() -> None:
    limits = {
        "gateway_policy": {
            "rate_limit": {"enable": True, "limit": 7},
            "concurrency_limit": {"enable": False, "limit": "?"},
        }
    }

    assert policy({"networking": limits}) == Policy(rate=7)
    assert policy({"containers": [{}]}) == APP
    assert policy({"containers": [{}], "metadata": {"rpc": {"proxy_path": "/v1"}}}) == Policy(prefix="/v1/")


@pytest.mark.parametrize("limit", [0, -1, 1.5, "10", True, None, 10**9])
def test_a_limit_that_is_none_is_refused(limit: object) -> None:
    values = {"networking": {"gateway_policy": {"rate_limit": {"enable": True, "limit": limit}}}}

    with pytest.raises(RefusedError, match=r"networking\.gateway_policy\.rate_limit\.limit is "):
        policy(values)


@pytest.mark.parametrize("path", ["v1", "", "/a b", "/a;b", "/a:b", "//", 5, "/" + "x" * 300, "/a\n"])
def test_a_path_that_is_none_is_refused(path: object) -> None:
    with pytest.raises(RefusedError, match=r"metadata\.rpc\.proxy_path is "):
        policy({"containers": [{}], "metadata": {"rpc": {"proxy_path": path}}})


def test_what_is_no_object_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"networking\.gateway_policy is a list"):
        policy({"networking": {"gateway_policy": []}})
