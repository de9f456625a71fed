"""The platform's instance types as what they have: cores, memory and cards.

| form                            | example                | read as                                     |
|---------------------------------|------------------------|---------------------------------------------|
| ecs.<family>.<size>             | ecs.g7.2xlarge         | 8 cores; GB per core by family: c 2 g 4 r 8 |
| ecs.<family>-c<n>g<n>.<size>    | ecs.gn6i-c16g1.4xlarge | 16 cores, 1 card                            |
| ecs.<family>-c<n>m<n>.<size>    | ecs.u1-c1m4.xlarge     | 4 cores, 4 GB a core                        |
| ml.<family>.c<n>m<n>.<n>-<card> | ml.gu7i.c8m30.1-gu30   | 8 cores, 30 GB, 1 card                      |
| local, local_gpu                |                        | whatever there is; local_gpu: with a card   |

A table of one's own wins: <state>/instance_types.json, {"my.small": {"cpu": 2, "memory": 4000, "gpu": 0}}.
Sources: the platform's lists of instance families; memory that no form says does not matter.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from recserve.config.document import read_json
from recserve.deploy.backends.backend import Resources
from recserve.deploy.errors import RefusedError
from recserve.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

#: What a user's own table is called, in the folder of the control plane's state.
FILE = "instance_types.json"

_LOCAL = {"local": Resources(), "local_gpu": Resources(gpu=1)}
_ECS = re.compile(
    r"ecs\.(?P<family>[a-z0-9]+)(-c(?P<cores>\d+)(?P<other>[gm])(?P<count>\d+))?\.(?P<size>\w+)"
)
_ML = re.compile(r"ml\.[a-z0-9]+\.c(?P<cores>\d+)m(?P<memory>\d+)\.(?P<cards>\d+)-[a-z0-9]+")
_SIZES = {"small": 1, "large": 2, "xlarge": 4}
_GB_PER_CORE = {"c": 2, "g": 4, "r": 8, "hfc": 2, "hfg": 4, "hfr": 8}
#: Of GPU families whose name does not say how many cards there are.
_CARD_FAMILIES = re.compile(r"(ebm)?(s?gn|vgn|gi)\d.*")


def resources_of(name: str, folder: Path | None = None) -> Resources:
    """What an instance type has; RefusedError if no form and no table knows it."""
    own = _table(folder)
    if name in own:
        return own[name]
    found = _LOCAL.get(name.strip()) or _parsed(name)
    if found is None:
        where = f", or give it in {folder / FILE}" if folder else ""
        raise RefusedError(
            [
                f"unknown instance type {name!r}; write one such as ecs.g7.xlarge, ecs.gn6i-c4g1.xlarge or"
                f" local, or metadata.cpu and metadata.memory instead{where}"
            ]
        )
    return found


def _parsed(name: str) -> Resources | None:
    if (found := _ML.fullmatch(name)) is not None:
        return _resources(int(found["cores"]), 1000 * int(found["memory"]), int(found["cards"]))
    found = _ECS.fullmatch(name)
    cores = _cores(found["size"]) if found else 0
    if found is None or not cores:
        return None
    cards = 1 if _CARD_FAMILIES.fullmatch(found["family"]) else 0
    letters = re.match(r"[a-z]+", found["family"])
    gigabytes = _GB_PER_CORE.get(letters[0] if letters else "", 0) * cores
    if found["other"] == "g":
        cores, cards = int(found["cores"]), int(found["count"])
    elif found["other"] == "m":
        gigabytes = int(found["count"]) * cores // max(1, int(found["cores"]))
    return _resources(cores, 1000 * (0 if cards else gigabytes), cards)


def _cores(size: str) -> int:
    times = re.fullmatch(r"(\d{1,3})xlarge", size)
    return 4 * int(times[1]) if times else _SIZES.get(size, 0)


def _resources(cpu: int, memory_mb: int, gpu: int) -> Resources | None:
    return Resources(cpu=cpu, memory_mb=memory_mb, gpu=gpu) if cpu <= 10_000 and gpu <= 1_000 else None


def _table(folder: Path | None) -> dict[str, Resources]:
    path = folder / FILE if folder else None
    if path is None or not path.exists():
        return {}
    table = read_json(path)
    return {name: _entry(f"{path}: {name}", values) for name, values in table.items()}


def _entry(where: str, values: Any) -> Resources:
    known = {"cpu", "memory", "gpu"}
    if (
        not isinstance(values, dict)
        or not values.keys() <= known
        or not all(
            isinstance(v, (int, float)) and not isinstance(v, bool) and v >= 0 for v in values.values()
        )
    ):
        raise ConfigError(f'{where}: {{"cpu": 2, "memory": 4000, "gpu": 0}} is expected, memory in megabytes')
    return Resources(
        cpu=float(values.get("cpu", 0)), memory_mb=int(values.get("memory", 0)), gpu=int(values.get("gpu", 0))
    )
