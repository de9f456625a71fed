"""What an instance asks of a machine, and what becomes of that where no machine has it.

    metadata.cpu, memory, gpu … ─┐
    cloud.computing              ┴─asked──▶ Resources ──fitted(nodes)──▶ what an order asks for; what lacks

What metadata says wins over the instance type. What the machines lack is remarked, and the instance gets
what the best of them has; with `metadata.strict_resources` the document is refused instead.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from recserve.config import forms
from recserve.deploy.backends.backend import Resources
from recserve.deploy.errors import RefusedError
from recserve.deploy.instance_types import resources_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from recserve.deploy.backends.backend import Node

#: key of metadata: field of Resources, largest value
_NUMBERS = {
    "cpu": ("cpu", 10_000),
    "memory": ("memory_mb", 100_000_000),
    "gpu": ("gpu", 1_000),
    "gpu_memory": ("gpu_memory_gb", 10_000),
    "shm_size": ("shm_gb", 10_000),
}
_UNITS = {"cpu": "cores", "memory_mb": "MB of memory", "gpu": "cards"}


def asked(document: Mapping[str, Any], folder: Path | None = None) -> Resources:
    """What a document asks for; RefusedError with all that is wrong."""
    problems: list[str] = []
    metadata = forms.section(document, "metadata")
    found = Resources()
    name = _instance_type(forms.section(forms.section(document, "cloud"), "computing", "cloud."), problems)
    if name:
        try:
            found = resources_of(name, folder)
        except RefusedError as error:
            problems += error.problems
    numbers: dict[str, Any] = {}
    for key, (field, most) in _NUMBERS.items():
        value = metadata.get(key)
        if value is None:
            continue
        kinds = (int, float) if key == "cpu" else (int,)
        if not isinstance(value, kinds) or isinstance(value, bool) or not 0 <= value <= most:
            problems.append(f"metadata.{key} is {value!r}; a number from 0 to {most:,} is expected")
        numbers[field] = value
    if problems:
        raise RefusedError(problems)
    if metadata.get("qos") == "BestEffort":
        numbers["cpu"] = 0
    return replace(found, **numbers)


def _instance_type(computing: Mapping[str, Any], problems: list[str]) -> str:
    """`instance_type`, or the first of `instances`."""
    listed = computing.get("instances") or []
    if not isinstance(listed, list) or not all(
        isinstance(one, dict) and isinstance(one.get("type"), str) for one in listed
    ):
        problems.append('cloud.computing.instances: [{"type": "ecs.g7.xlarge"}] is expected')
        return ""
    name = computing.get("instance_type") or (listed[0]["type"] if listed else "")
    if not isinstance(name, str):
        problems.append(
            f"cloud.computing.instance_type is {name!r}; a text such as ecs.g7.xlarge is expected"
        )
        return ""
    return name


def fitted(asked: Resources, pool: str, nodes: Sequence[Node]) -> tuple[Resources, str, list[str]]:
    """What an order may ask for, of which pool, and what was asked for and lacks."""
    living = [node for node in nodes if node.alive]
    if not living:
        return asked, pool, []
    lacks: list[str] = []
    members = [node for node in living if pool in node.pools]
    if pool and not members:
        lacks.append(f"metadata.resource: no machine is in the pool {pool!r}; any machine is taken")
        pool = ""
    best = min(members or living, key=lambda node: (len(_lacking(asked, node)), -node.cpu, node.name))
    lacking = _lacking(asked, best)
    lacks += [
        f"{wanted:g} {_UNITS[field]} are asked for, {has:g} are there: instances get what is there"
        for field, (wanted, has) in lacking.items()
    ]
    given: dict[str, Any] = {field: has for field, (_, has) in lacking.items()}
    if asked.gpu_memory_gb and not best.gpu:
        lacks.append(f"{asked.gpu_memory_gb} GB of a shared card are asked for, and there is no card")
        given["gpu_memory_gb"] = 0
    return replace(asked, **given), pool, lacks


def _lacking(asked: Resources, node: Node) -> dict[str, tuple[float, float]]:
    """By field: what is asked for, and what the machine has. A machine that says 0 cores says nothing."""
    pairs = {
        "cpu": (asked.cpu, node.cpu or asked.cpu),
        "memory_mb": (asked.memory_mb, node.memory_mb or asked.memory_mb),
        "gpu": (asked.gpu, node.gpu),
    }
    return {field: (wanted, has) for field, (wanted, has) in pairs.items() if wanted > has}
