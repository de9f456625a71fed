"""The cores that a process may use: quotas of both versions of control groups, affinity, the machine."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from recserve.cores import Cores, Quota, cores, least, plan_threads, quota_of, usable

if TYPE_CHECKING:
    from pathlib import Path


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


V2 = "0::/\n"
V1 = "5:memory:/docker/7f\n4:cpu,cpuacct:/docker/7f\n0::/docker/7f\n"
CASES = {
    "a container of version 2 sees its own group as the root": (
        {"proc/self/cgroup": V2, "sys/fs/cgroup/cpu.max": "150000 100000\n"},
        1.5,
    ),
    "a service of systemd is in a group below": (
        {
            "proc/self/cgroup": "0::/system.slice/rank.service\n",
            "sys/fs/cgroup/system.slice/rank.service/cpu.max": "400000 100000\n",
        },
        4.0,
    ),
    "the groups around it count too": (
        {
            "proc/self/cgroup": "0::/pods/pod1/rank\n",
            "sys/fs/cgroup/pods/pod1/rank/cpu.max": "400000 100000\n",
            "sys/fs/cgroup/pods/pod1/cpu.max": "50000 25000\n",
            "sys/fs/cgroup/pods/cpu.max": "max 100000\n",
        },
        2.0,
    ),
    "version 1 has two files": (
        {
            "proc/self/cgroup": V1,
            "sys/fs/cgroup/cpu,cpuacct/docker/7f/cpu.cfs_quota_us": "300000\n",
            "sys/fs/cgroup/cpu,cpuacct/docker/7f/cpu.cfs_period_us": "100000\n",
        },
        3.0,
    ),
    "a container of version 1 sees its own group at the mount": (
        {
            "proc/self/cgroup": V1,
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "50000\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        },
        0.5,
    ),
    "where both are mounted, the one with a limit decides": (
        {
            "proc/self/cgroup": "1:cpu:/\n0::/\n",
            "sys/fs/cgroup/unified/cpu.max": "200000 100000\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        },
        2.0,
    ),
    "a group that is not visible from here leaves the mount": (
        {"proc/self/cgroup": "0::/../../other\n", "sys/fs/cgroup/cpu.max": "200000 100000\n"},
        2.0,
    ),
    "without /proc the mount is looked at": ({"sys/fs/cgroup/cpu.max": "200000 100000\n"}, 2.0),
    "max is no limit": ({"proc/self/cgroup": V2, "sys/fs/cgroup/cpu.max": "max 100000\n"}, None),
    "minus one is no limit": (
        {
            "proc/self/cgroup": V1,
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        },
        None,
    ),
    "what cannot be read as numbers is no limit": (
        {"proc/self/cgroup": "nonsense\n", "sys/fs/cgroup/cpu.max": "a lot\n"},
        None,
    ),
    "a period of nothing is no limit": ({"sys/fs/cgroup/cpu.max": "100000 0\n"}, None),
    "no control groups at all": ({}, None),
}


@pytest.mark.parametrize(("files", "expected"), CASES.values(), ids=CASES)
def test_the_quota_is_the_least_of_the_groups_around(
    tmp_path: Path, files: dict[str, str], expected: float | None
) -> None:
    quota = quota_of(tree(tmp_path, files))

    assert (quota.cores if quota else None) == expected


def test_the_quota_names_its_file(tmp_path: Path) -> None:
    quota = quota_of(tree(tmp_path, {"sys/fs/cgroup/cpu.max": "100000 100000"}))

    assert quota == Quota(1.0, tmp_path / "sys/fs/cgroup/cpu.max")


@pytest.mark.parametrize(
    ("machine", "affinity", "quota", "expected"),
    [
        (8, None, None, 8),
        (8, 8, 16.0, 8),
        (8, 3, None, 3),
        (8, 3, 2.0, 2),
        (8, 2, 3.0, 2),
        (8, 8, 0.1, 1),
        (8, 8, 1.5, 1),  # two threads would be stopped for a quarter of the time
        (8, 8, 1.75, 2),
        (8, 8, 2.5, 2),
        (2, 2, 1.9, 2),
        (1, 1, 0.9, 1),
    ],
)
def test_the_tightest_limit_counts_and_a_quota_is_rounded_down(
    machine: int, affinity: int | None, quota: float | None, expected: int, tmp_path: Path
) -> None:
    found = least(machine, affinity, None if quota is None else Quota(quota, tmp_path))

    assert found.count == expected


def test_the_reason_says_which_limit_it_was(tmp_path: Path) -> None:
    assert least(8, 8, None).reason == "the machine has 8"
    assert least(8, 2, None).reason == "affinity, of 8 in the machine"
    assert least(8, 8, Quota(2.5, tmp_path)).reason == f"quota 2.5 in {tmp_path}, of 8 in the machine"


def test_this_process_may_use_some_cores(tmp_path: Path) -> None:
    assert 1 <= cores() <= (os.cpu_count() or 1)
    assert usable(tree(tmp_path, {"sys/fs/cgroup/cpu.max": "10000 100000"})).count == 1


@pytest.mark.parametrize(
    ("worker_threads", "intra_op", "count", "expected"),
    [(16, 1, 2, (2, 1)), (1, 1, 8, (1, 1)), (5, 1, 5, (5, 1)), (16, 4, 8, (2, 4)), (16, 4, 2, (1, 4))],
)
def test_workers_times_their_threads_are_no_more_than_the_cores(
    worker_threads: int, intra_op: int, count: int, expected: tuple[int, int]
) -> None:
    plan = plan_threads(worker_threads, intra_op, Cores(count, "the machine has 8"))

    assert (plan.workers, plan.intra_op) == expected


def test_the_plan_says_what_decided_it() -> None:
    available = Cores(2, "affinity, of 8 in the machine")

    assert str(plan_threads(16, 1, available)) == (
        "2 workers x 1 intra-op threads (as many as cores allow; cores 2: affinity, of 8 in the machine)"
    )
    assert str(plan_threads(1, 1, available)) == (
        "1 workers x 1 intra-op threads (worker_threads 1; cores 2: affinity, of 8 in the machine)"
    )
