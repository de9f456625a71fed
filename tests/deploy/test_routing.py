from __future__ import annotations

import json
from dataclasses import replace

from recserve.deploy.records import Instance, Phase, Rollout, Service, Wanted
from recserve.deploy.routing import discovered, endpoints


def service(name: str, **changes: object) -> Service:
    made = Service(name, "uid", "token", 1, 2, Rollout(1, 1, 0.0))
    return replace(made, **changes)  # type: ignore[arg-type]


def instances(service: str, count: int, phase: Phase = Phase.READY) -> list[Instance]:
    return [
        Instance(f"{service}-{k}", service, 1, phase, 0.0, 0.0, host="127.0.0.1", port=1000 + k)
        for k in range(count)
    ]


GROUP = {
    "old": service("old", group="rank", grouped=True, weight=90),
    "new": service("new", group="rank", grouped=True, weight=10),
    "alone": service("alone", group="rank"),
}


def shares(name: str, services: dict[str, Service], found: list[Instance]) -> dict[str, int]:
    result: dict[str, int] = {}
    for one in endpoints(name, services, found) or ():
        result[one.service] = result.get(one.service, 0) + one.weight
    return result


def test_a_service_is_its_ready_instances_alike() -> None:
    found = [*instances("old", 2), *instances("old", 1, Phase.DRAINING), *instances("new", 1)]

    answered = endpoints("old", GROUP, found)

    assert answered is not None
    assert [(one.instance, one.weight) for one in answered] == [("old-0", 100), ("old-1", 100)]


def test_a_group_is_shared_exactly_by_weight_whatever_the_number_of_instances() -> None:
    found = [*instances("old", 3), *instances("new", 2), *instances("alone", 4)]

    answered = shares("rank", GROUP, found)

    assert answered["old"] == 9 * answered["new"]
    assert "alone" not in answered


def test_without_weights_members_count_by_their_instances() -> None:
    services = {
        name: replace(one, weight=None, instances=k) for k, (name, one) in enumerate(GROUP.items(), 1)
    }
    found = [*instances("old", 1), *instances("new", 2)]

    answered = shares("rank", services, found)

    assert answered["new"] == 2 * answered["old"]


def test_a_member_of_weight_zero_is_asked_by_its_own_name_alone() -> None:
    services = {**GROUP, "new": replace(GROUP["new"], weight=0)}
    found = [*instances("old", 1), *instances("new", 1), *instances("alone", 1)]

    assert set(shares("rank", services, found)) == {"old"}
    assert set(shares("rank.new", services, found)) == {"new"}
    assert set(shares("rank.alone", services, found)) == {"alone"}


def test_who_has_no_ready_instance_leaves_its_share_to_the_others() -> None:
    assert set(shares("rank", GROUP, instances("new", 1))) == {"new"}


def test_unknown_names_are_none_and_known_ones_without_instances_are_empty() -> None:
    assert endpoints("nobody", GROUP, []) is None
    assert endpoints("rank.nobody", GROUP, []) is None
    assert endpoints("other.old", GROUP, []) is None
    assert endpoints("old", GROUP, []) == []
    assert endpoints("rank", GROUP, []) == []
    assert endpoints("old", {"old": replace(GROUP["old"], wanted=Wanted.DELETED, group="")}, []) is None


def test_an_address_of_ipv6_has_brackets() -> None:
    one = replace(instances("old", 1)[0], host="::1")

    body = json.loads(discovered(endpoints("old", GROUP, [one]) or [], "old"))

    assert body == {"endpoints": {"items": [{"app": "old", "ip": "[::1]", "port": 1000, "weight": 100}]}}
