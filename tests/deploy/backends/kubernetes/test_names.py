from __future__ import annotations

import re

import pytest

from recserve.deploy.backends.kubernetes.names import kubernetes_name

LABEL = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")


def test_a_name_that_kubernetes_takes_stays() -> None:
    assert kubernetes_name("tiny-2") == "tiny-2"
    assert kubernetes_name("tiny", "-a1") == "tiny-a1"


@pytest.mark.parametrize("name", ["a_b", "3d", "x" * 128, "a-", "_", "9", "-", "a" * 63 + "_"])
@pytest.mark.parametrize("suffix", ["", "-0123456789"])
def test_every_other_becomes_one(name: str, suffix: str) -> None:
    made = kubernetes_name(name, suffix)

    assert LABEL.fullmatch(made)
    assert made.endswith(suffix)


def test_names_that_would_be_alike_are_two() -> None:
    assert len({kubernetes_name(name) for name in ("a_b", "a-b", "a__b", "x" * 127, "x" * 128)}) == 5
