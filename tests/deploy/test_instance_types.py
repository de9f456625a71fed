from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from recserve.deploy.errors import RefusedError
from recserve.deploy.instance_types import FILE, resources_of
from recserve.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("name", "cpu", "memory", "gpu"),
    [
        ("ecs.g7.large", 2, 8_000, 0),
        ("ecs.g6.xlarge", 4, 16_000, 0),
        ("ecs.c7.2xlarge", 8, 16_000, 0),
        ("ecs.r8i.16xlarge", 64, 512_000, 0),
        ("ecs.hfc6.xlarge", 4, 8_000, 0),
        ("ecs.u1-c1m4.xlarge", 4, 16_000, 0),
        ("ecs.e-c1m1.large", 2, 2_000, 0),
        ("ecs.gn6i-c4g1.xlarge", 4, 0, 1),
        ("ecs.gn6i-c16g1.4xlarge", 16, 0, 1),
        ("ecs.gn7i-c32g1.8xlarge", 32, 0, 1),
        ("ecs.gn6e-c12g1.12xlarge", 12, 0, 1),
        ("ecs.gn6v-c10g1.20xlarge", 10, 0, 1),
        ("ecs.ebmgn7.26xlarge", 104, 0, 1),
        ("ml.gu7i.c8m30.1-gu30", 8, 30_000, 1),
        ("local", 0, 0, 0),
        (" local_gpu ", 0, 0, 1),
    ],
)
def test_names_are_read(name: str, cpu: int, memory: int, gpu: int) -> None:
    found = resources_of(name)
    assert (found.cpu, found.memory_mb, found.gpu) == (cpu, memory, gpu)


@pytest.mark.parametrize(
    "name", ["", "ecs.g7", "ecs.g7.huge", "g7.large", "ecs.g7.large; rm", "ecs.g7.999999xlarge", "locals"]
)
def test_an_unknown_type_is_refused_with_the_way_out(name: str) -> None:
    with pytest.raises(RefusedError, match="unknown instance type") as caught:
        resources_of(name)
    assert "metadata.cpu" in str(caught.value)


def test_a_table_of_ones_own_wins(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(json.dumps({"ecs.g7.large": {"cpu": 1}, "small": {"memory": 512}}))
    assert resources_of("ecs.g7.large", tmp_path).cpu == 1
    assert resources_of("small", tmp_path).memory_mb == 512
    with pytest.raises(RefusedError, match=FILE):
        resources_of("big", tmp_path)


@pytest.mark.parametrize("table", ['{"small": 1}', '{"small": {"cpu": -1}}', '{"small": {"cores": 1}}', "["])
def test_a_broken_table_is_named(tmp_path: Path, table: str) -> None:
    (tmp_path / FILE).write_text(table)
    with pytest.raises(ConfigError, match=FILE):
        resources_of("small", tmp_path)
