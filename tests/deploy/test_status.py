"""What a service is called in each part of its life."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.deploy.simulation import Simulation


def words(simulation: Simulation, seconds: int) -> list[str]:
    """What it is called from second to second, each word once in a row."""
    found = [simulation.status().status]
    for _ in range(seconds):
        simulation.step()
        if "tiny" not in simulation.store.services:
            return found
        if simulation.status().status != found[-1]:
            found.append(simulation.status().status)
    return found


def test_a_service_lives_in_the_words_that_users_know(simulation: Simulation) -> None:
    simulation.create()
    assert words(simulation, 10) == ["Creating", "Running"]
    simulation.control.scale("tiny", 3)
    assert words(simulation, 10) == ["Scaling", "Running"]
    simulation.control.modify("tiny", {"model_path": "/etc"})
    assert words(simulation, 60) == ["Updating", "Running"]
    simulation.control.stop("tiny")
    assert words(simulation, 10) == ["Stopping", "Stopped"]
    simulation.control.start("tiny")
    assert words(simulation, 10) == ["Waiting", "Running"]
    simulation.control.delete("tiny")
    assert words(simulation, 10) == ["Deleting"]


def test_a_service_is_running_only_if_as_many_are_ready_as_are_wanted(simulation: Simulation) -> None:
    simulation.create(metadata={"instance": 3})
    simulation.step(6)
    simulation.backend.end(simulation.instances()[0].id)
    simulation.step()
    found = simulation.status()
    assert (found.status, found.total, found.running, found.pending) == ("Scaling", 3, 2, 1)


def test_a_service_without_instances_is_running_if_none_are_wanted(simulation: Simulation) -> None:
    simulation.create(metadata={"instance": 0})
    simulation.step(2)
    assert simulation.status().status == "Running"


def test_a_version_that_does_not_get_ready_is_told_while_the_old_one_runs(simulation: Simulation) -> None:
    simulation.create()
    simulation.step(4)
    simulation.prober.broken = lambda order: order.version == 2
    simulation.control.modify("tiny", {"model_path": "/etc"})
    simulation.step(700)
    found = simulation.status()
    assert found.status == "Running"
    assert "version 2 did not get ready, version 1 serves" in found.message
