"""Rolls, crashes and restarts, without a process: what is wanted comes to be, and what serves goes on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.deploy.simulation import Simulation

from recserve.deploy.records import Phase

if TYPE_CHECKING:
    import pytest


def test_what_is_created_runs_and_what_is_deleted_is_gone(simulation: Simulation) -> None:
    simulation.create()
    assert simulation.status().status == "Creating"
    simulation.step(4)
    assert simulation.status().status == "Running"
    assert simulation.ready() == {1: 2}

    simulation.control.delete("tiny")
    simulation.step(10)

    assert "tiny" not in simulation.store.services
    assert not simulation.backend.observe()


def test_a_process_that_was_started_again_is_asked_before_anybody_is_sent_to_it(
    simulation: Simulation,
) -> None:
    simulation.create()
    simulation.step(4)
    first, second = simulation.instances()

    simulation.backend.end(first.id, again=True)
    simulation.step()

    assert [one.phase for one in simulation.instances()] == [Phase.UNREADY, Phase.READY]
    simulation.step()
    assert simulation.ready() == {1: 2}
    assert [one.id for one in simulation.instances()] == [first.id, second.id]


def test_a_control_plane_that_begins_takes_its_notes_for_true(simulation: Simulation) -> None:
    simulation.create()
    simulation.step(4)
    simulation.prober.asked = {}
    simulation.restart()

    simulation.step()

    assert simulation.ready() == {1: 2}


def test_a_roll_never_leaves_fewer_ready_than_are_wanted(simulation: Simulation) -> None:
    simulation.create(metadata={"instance": 4})
    simulation.step(8)
    simulation.watch()

    simulation.control.modify("tiny", {"model_path": "/etc"})
    simulation.step(60)

    assert simulation.ready() == {2: 4}
    assert simulation.least_ready == 4
    assert simulation.most_living <= 5
    assert simulation.status().status == "Running"


def test_scaling_makes_no_version(simulation: Simulation) -> None:
    simulation.create()
    simulation.step(4)

    simulation.control.modify("tiny", {"metadata": {"instance": 4}})
    simulation.step(8)
    assert simulation.ready() == {1: 4}

    simulation.control.scale("tiny", 1)
    simulation.step(10)
    assert simulation.ready() == {1: 1}
    assert simulation.store.services["tiny"].latest == 1


def test_a_version_that_does_not_get_ready_leaves_the_old_one_serving(simulation: Simulation) -> None:
    simulation.create()
    simulation.step(6)
    simulation.watch()
    simulation.prober.broken = lambda order: order.version == 2

    simulation.control.modify("tiny", {"model_path": "/etc"})
    simulation.step(700)

    assert simulation.ready() == {1: 2}
    assert simulation.least_ready == 2
    assert "version 2 did not get ready, version 1 serves" in simulation.status().message

    simulation.control.switch("tiny", 1)
    simulation.step(5)
    assert simulation.status().status == "Running"
    assert simulation.status().message == ""


def test_a_version_whose_processes_end_is_given_up(simulation: Simulation) -> None:
    simulation.create()
    simulation.step(6)
    simulation.prober.broken = lambda order: order.version == 2
    simulation.control.modify("tiny", {"model_path": "/etc"})
    simulation.step(1)
    (new,) = [one for one in simulation.instances() if one.version == 2]

    simulation.backend.end(new.id)
    simulation.step(3)

    assert simulation.ready() == {1: 2}
    assert f"{new.id} ended: Error" in simulation.status().message


def test_a_lost_instance_is_replaced_and_never_routed_to_again(simulation: Simulation) -> None:
    simulation.create()
    simulation.step(4)
    lost = simulation.instances()[0]

    simulation.backend.lose(lost.id)
    simulation.step(6)

    assert simulation.ready() == {1: 2}
    assert lost.id not in {one.id for one in simulation.instances()}
    assert lost.id not in simulation.backend.observe()


def test_what_nobody_ordered_is_stopped(simulation: Simulation) -> None:
    simulation.create()
    simulation.step(4)
    order = next(iter(simulation.backend.orders.values()))
    simulation.backend._observed["stray-1-abcdef"] = simulation.backend.observe()[order.instance]

    simulation.step(1)

    assert "stray-1-abcdef" not in simulation.backend.observe()


def test_a_partition_stays_until_it_is_changed(simulation: Simulation) -> None:
    simulation.create(metadata={"instance": 4})
    simulation.step(8)
    simulation.control.modify("tiny", {"model_path": "/etc"})
    simulation.control.rollout("tiny", partition=1)
    simulation.step(30)
    assert simulation.ready() == {1: 3, 2: 1}

    simulation.control.rollout("tiny", partition=None)
    simulation.step(30)

    assert simulation.ready() == {2: 4}


def test_a_version_that_cannot_begin_is_tried_less_and_less_often(simulation: Simulation) -> None:
    simulation.prober.broken = lambda order: True
    simulation.create(metadata={"instance": 1})
    begun = set()
    for _ in range(120):
        simulation.step()
        for one in simulation.instances():
            if one.phase is Phase.STARTING and one.id in simulation.backend.observe():
                begun.add(one.id)
                simulation.backend.end(one.id)

    assert 4 <= len(begun) <= 10


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_from_wherever_it_is_killed_it_ends_in_what_is_wanted(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    simulation = Simulation(tmp_path_factory.mktemp("state"))
    simulation.create(metadata={"instance": 3})
    simulation.step(8)
    for _ in range(data.draw(st.integers(1, 8))):
        what = data.draw(
            st.sampled_from(["modify", "scale", "back", "restart", "lose", "end", "stop", "start"])
        )
        if what == "modify":
            simulation.control.modify(
                "tiny", {"model_path": data.draw(st.sampled_from(["/usr", "/etc", "/tmp", "/var"]))}
            )
        elif what == "scale":
            simulation.control.scale("tiny", data.draw(st.integers(1, 5)))
        elif what == "back":
            simulation.control.switch(
                "tiny", data.draw(st.integers(1, simulation.store.services["tiny"].latest))
            )
        elif what == "restart":
            simulation.restart()
        elif what in ("stop", "start"):
            getattr(simulation.control, what)("tiny")
        elif running := list(simulation.backend.observe()):  # ids are random, their order is not
            one = running[data.draw(st.integers(0, 9)) % len(running)]
            (simulation.backend.lose if what == "lose" else simulation.backend.end)(one)
        simulation.step(data.draw(st.integers(0, 6)))
    simulation.control.start("tiny")
    simulation.step(300)

    service = simulation.store.services["tiny"]
    serving = service.rollout.stable if service.rollout.state == "failed" else service.version
    assert simulation.ready() == {serving: service.instances}
    assert len(simulation.backend.observe()) == service.instances
    simulation.store.close()


def test_why_a_version_cannot_begin_is_said_until_it_does(simulation: Simulation) -> None:
    simulation.prober.broken = lambda order: True
    simulation.create(metadata={"instance": 1})
    simulation.step(2)
    (first,) = simulation.instances()

    simulation.backend.end(first.id)
    simulation.step(4)
    assert simulation.status().status == "Failed"
    assert f"{first.id} could not begin: Error" in simulation.status().message

    simulation.prober.broken = lambda order: False
    simulation.step(4)
    assert (simulation.status().status, simulation.status().message) == ("Running", "")


def test_a_probe_that_never_succeeds_is_said_in_time(simulation: Simulation) -> None:
    simulation.prober.broken = lambda order: True
    simulation.create(metadata={"instance": 1})
    simulation.step(590)
    assert simulation.status().status == "Creating"

    simulation.step(20)

    assert simulation.status().status == "Failed"
    assert "not ready after 600 s: it answers 503" in simulation.status().message
    told = [event.reason for event in simulation.store.events("tiny")]
    assert told.count("NotReady") == 1


def test_what_has_crashed_stays_where_that_is_asked_for_until_the_next_version(
    simulation: Simulation,
) -> None:
    simulation.create(runtime={"enable_crash_block": True})
    simulation.step(6)
    crashed = simulation.instances()[0]

    simulation.backend.end(crashed.id)
    simulation.step(20)

    assert crashed.id in {one.id for one in simulation.instances()}
    assert simulation.ready() == {1: 1}
    assert simulation.status().status == "Scaling"
    assert f"{crashed.id} ended and is left as it is" in simulation.status().message

    simulation.control.modify("tiny", {"model_path": "/etc"})
    simulation.step(20)
    assert simulation.ready() == {2: 2}
    assert crashed.id not in simulation.backend.observe()


def test_a_lost_machine_is_no_crash(simulation: Simulation) -> None:
    simulation.create(runtime={"enable_crash_block": True})
    simulation.step(6)

    simulation.backend.lose(simulation.instances()[0].id)
    simulation.step(10)

    assert simulation.ready() == {1: 2}


def test_clients_may_forget_an_instance_also_where_nobody_could_tell_them(simulation: Simulation) -> None:
    simulation.create()
    simulation.step(6)
    simulation.control.scale("tiny", 1)
    simulation.step(1)
    draining = {one.id for one in simulation.instances() if one.phase is Phase.DRAINING}
    assert draining

    simulation.now += 60  # nobody reconciles, and discovery does not answer
    simulation.restart()
    simulation.step(4)
    assert draining < set(simulation.backend.observe())

    simulation.step(4)
    assert not draining & set(simulation.backend.observe())


def test_a_document_that_cannot_be_followed_any_more_is_its_service_s_own_trouble(
    simulation: Simulation,
) -> None:
    simulation.create(name="lost")
    simulation.create()
    simulation.step(6)
    simulation.restart()
    known = simulation.store.versions["lost", 1]
    document = {**known.document, "containers": "of another release"}
    simulation.store.versions["lost", 1] = replace(known, document=document)

    simulation.control.scale("tiny", 3)
    simulation.step(6)

    assert simulation.ready() == {1: 3}
    assert simulation.ready("lost") == {1: 2}
    assert "containers" in simulation.status("lost").message
    simulation.control.delete("lost")
    simulation.step(10)
    assert "lost" not in simulation.store.services
