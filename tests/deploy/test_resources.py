from __future__ import annotations

from typing import Any

import pytest

from recserve.deploy.backends.backend import Node, Resources
from recserve.deploy.errors import RefusedError
from recserve.deploy.resources import asked, fitted

SMALL = Node("small", "127.0.0.1", cpu=2, memory_mb=8_000)
CARDS = Node("cards", "10.0.0.2", cpu=16, memory_mb=64_000, gpu=2, pools=("eas-r-x",))


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({}, Resources()),
        ({"metadata": {"cpu": 0.5, "memory": 900}}, Resources(cpu=0.5, memory_mb=900)),
        ({"cloud": {"computing": {"instance_type": "ecs.g7.large", "instances": None}}}, Resources(2, 8_000)),
        (
            {"cloud": {"computing": {"instances": [{"type": "ecs.c7.large"}, {"type": "x"}]}}},
            Resources(2, 4_000),
        ),
        (
            {"metadata": {"cpu": 1}, "cloud": {"computing": {"instance_type": "ecs.g7.large"}}},
            Resources(1, 8_000),
        ),
        ({"metadata": {"cpu": 4, "qos": "BestEffort"}}, Resources()),
        ({"metadata": {"gpu_memory": 3, "shm_size": 2}}, Resources(gpu_memory_gb=3, shm_gb=2)),
    ],
)
def test_what_a_document_asks_for(document: dict[str, Any], expected: Resources) -> None:
    assert asked(document) == expected


def test_all_that_is_wrong_is_said_at_once() -> None:
    document = {
        "metadata": {"cpu": "four", "memory": -1, "gpu": True},
        "cloud": {"computing": {"instance_type": "huge"}},
    }
    with pytest.raises(RefusedError) as caught:
        asked(document)
    assert len(caught.value.problems) == 4


def test_what_no_machine_has_is_cut_to_what_the_best_one_has() -> None:
    found, pool, lacks = fitted(Resources(cpu=16, memory_mb=20_000, gpu=1), "eas-r-xxx", [SMALL])
    assert found == Resources(cpu=2, memory_mb=8_000, gpu=0)
    assert pool == ""
    assert len(lacks) == 4
    assert "eas-r-xxx" in lacks[0]


def test_what_one_machine_has_whole_is_asked_for_whole() -> None:
    wanted = Resources(cpu=16, memory_mb=20_000, gpu=1)
    assert fitted(wanted, "eas-r-x", [SMALL, CARDS]) == (wanted, "eas-r-x", [])


def test_a_machine_that_is_lost_has_nothing() -> None:
    lost = Node("cards", "10.0.0.2", alive=False, cpu=16, gpu=2)
    assert fitted(Resources(gpu=1), "", [SMALL, lost])[0] == Resources(gpu=0)


def test_where_no_machine_is_known_nothing_lacks() -> None:
    assert fitted(Resources(cpu=99), "p", []) == (Resources(cpu=99), "p", [])
