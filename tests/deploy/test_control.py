"""The verbs: what they want, what they refuse, and what comes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.deploy.simulation import Simulation

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def simulation(tmp_path: Path) -> Iterator[Simulation]:
    made = Simulation(tmp_path)
    yield made
    made.store.close()


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
