"""The verbs: what they want, what they refuse, and what comes of it."""

from __future__ import annotations

import pytest
from tests.deploy.simulation import TINY, Simulation

from recserve.deploy.backends.backend import Node
from recserve.deploy.control import Control
from recserve.deploy.errors import BackendError, ConflictError, RefusedError


def test_an_instance_that_is_replaced_serves_until_another_one_is_ready(simulation: Simulation) -> None:
    simulation.create(metadata={"instance": 1})
    simulation.step(4)
    simulation.watch()
    (old,) = simulation.instances()

    simulation.control.replace_instances("tiny", [old.id])
    simulation.step(20)

    assert simulation.least_ready == 1
    assert simulation.ready() == {1: 1}
    assert old.id not in {one.id for one in simulation.instances()}
    assert simulation.store.services["tiny"].latest == 1


def test_instances_are_replaced_in_a_paused_roll_out_too(simulation: Simulation) -> None:
    simulation.create(metadata={"instance": 3})
    simulation.step(6)
    simulation.control.modify("tiny", {"model_path": "/etc"}, rollout={"partition": 1})
    simulation.step(15)
    simulation.control.rollout("tiny", paused=True)
    assert simulation.ready() == {1: 2, 2: 1}

    simulation.control.replace_instances("tiny", [one.id for one in simulation.instances()])
    simulation.step(60)

    assert simulation.ready() == {1: 2, 2: 1}


def test_a_roll_out_that_begins_paused_starts_nothing_until_it_is_resumed(simulation: Simulation) -> None:
    simulation.create()
    simulation.step(4)
    simulation.control.modify("tiny", {"model_path": "/etc"}, rollout={"paused": True})
    simulation.step(10)
    assert simulation.ready() == {1: 2}
    simulation.control.rollout("tiny", paused=False)
    simulation.step(20)
    assert simulation.ready() == {2: 2}


def test_changes_of_number_labels_and_autoscaler_make_no_version(simulation: Simulation) -> None:
    simulation.create()
    rule = {"min": 1, "max": 4, "strategies": {"qps": 10}}
    simulation.control.modify("tiny", {"metadata": {"instance": 3}})
    simulation.control.modify("tiny", {"labels": {"team": "search"}})
    simulation.control.modify("tiny", {"autoscaler": rule})
    service = simulation.control.modify("tiny", {"labels": {"team": None, "tier": "gold"}})
    assert (service.instances, service.labels, service.autoscaler) == (3, {"tier": "gold"}, rule)
    assert service.latest == 1
    service = simulation.control.modify("tiny", {"autoscaler": None})
    assert (service.instances, service.autoscaler, service.latest) == (3, {}, 1)


def test_a_change_that_is_refused_changes_nothing(simulation: Simulation) -> None:
    simulation.create()
    before = simulation.store.services["tiny"]
    for change in (
        {"metadata": {"instance": 5, "rolling_strategy": {"max_surge": "many"}}},
        {"metadata": {"instance": 5}, "model_path": "/does/not/exist"},
        {"labels": {"a": "b"}, "autoscaler": {"min": 5, "max": 1}},
        {"labels": {"a": "b"}, "processor": "easyrec-1.9"},
    ):
        with pytest.raises(Exception, match=r"max_surge|does not exist|more than min|easyrec-1\.9"):
            simulation.control.modify("tiny", change)
    assert simulation.store.services["tiny"] == before
    assert len(simulation.store.versions) == 1


def test_a_service_is_released_into_its_group_when_all_of_its_instances_answer_there(
    simulation: Simulation,
) -> None:
    simulation.create()
    simulation.step(4)
    simulation.control.modify("tiny", {"metadata": {"group": "home"}})
    with pytest.raises(ConflictError, match="version 1 do not answer for group home"):
        simulation.control.release("tiny", grouped=True)
    simulation.step(30)
    assert simulation.control.release("tiny", grouped=True, weight=10).grouped


def test_members_share_the_token_of_the_first_one(simulation: Simulation) -> None:
    for name in ("one", "two"):
        simulation.create(name=name, metadata={"instance": 1, "group": "home"})
    one, two = simulation.store.services["one"], simulation.store.services["two"]
    assert one.token != two.token
    assert one.group_token == two.group_token == one.token
    with pytest.raises(ConflictError, match="name of a group"):
        simulation.create(name="home")
    with pytest.raises(ConflictError, match="name of a service"):
        simulation.create(name="three", metadata={"group": "one"})


def test_a_new_token_and_a_new_group_go_with_their_version(simulation: Simulation) -> None:
    simulation.create(token="first")
    simulation.step(4)
    changed = simulation.control.modify("tiny", {"token": ["second", "first"], "metadata": {"group": "home"}})
    assert (changed.token, changed.group, changed.latest) == ("second", "home", 2)
    back = simulation.control.switch("tiny", 1)
    assert (back.token, back.group, back.grouped) == ("first", "", False)


def test_what_lies_on_other_machines_is_not_looked_for_on_this_one(simulation: Simulation) -> None:
    control = Control(simulation.store, lambda: None, elsewhere=True)
    assert control.create({**TINY, "model_path": "/of/another/machine"}).version == 1
    with pytest.raises(RefusedError, match="does not exist"):
        simulation.create(name="here", model_path="/of/another/machine")


def test_what_the_machines_lack_is_a_remark_or_refused_and_changes_nothing(simulation: Simulation) -> None:
    small = Node("small", "127.0.0.1", cpu=2, memory_mb=4_000)
    control = Control(simulation.store, lambda: None, nodes=lambda: [small])
    wanted = {**TINY, "metadata": {"instance": 1, "cpu": 16}}
    assert any(
        "16 cores are asked for, 2 are there" in one for one in control.remarks(control.create(wanted))
    )
    with pytest.raises(RefusedError, match=r"16 cores .* \(metadata.strict_resources\)"):
        control.modify("tiny", {"metadata": {"strict_resources": True}})
    assert simulation.store.services["tiny"].latest == 1


def test_a_backend_that_cannot_be_reached_keeps_nobody_from_creating(simulation: Simulation) -> None:
    def unreachable() -> list[Node]:
        raise BackendError("it is away")

    control = Control(simulation.store, lambda: None, nodes=unreachable)
    assert control.remarks(control.create(TINY)) == ()
