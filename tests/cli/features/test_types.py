"""`recserve features types` shows what each feature type does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from recserve.features.types import FEATURE_TYPES

if TYPE_CHECKING:
    from collections.abc import Callable


def test_without_a_name_every_type_has_a_line(call: Callable[..., Any]) -> None:
    lines = call("features", "types").stdout.splitlines()

    assert [line.split()[0] for line in lines] == ["feature_type", *FEATURE_TYPES]
    assert all(line.rstrip().endswith(".") for line in lines[1:])


@pytest.mark.parametrize("name", ["lookup_feature", "lookup", "sequence_lookup_feature"])
def test_a_type_has_its_keys_its_cases_and_its_rules(call: Callable[..., Any], name: str) -> None:
    shown = call("features", "types", name).stdout

    assert shown.startswith("## lookup_feature\n")
    assert "| `need_key` (or `needKey`) | true or false | `false` |" in shown
    assert "| `map` | an input | required |" in shown
    assert '`"combiner": ""' in shown
    assert "**Source:**" in shown


def test_in_a_terminal_it_is_laid_out(call: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")

    shown = call("features", "types", "lookup").stdout

    assert "##" not in shown
    assert "\x1b[" in shown


def test_a_mistyped_name_gets_a_hint(call: Callable[..., Any]) -> None:
    assert call("features", "types", "lokup_feature").stderr.strip() == (
        "recserve: there is no feature_type 'lokup_feature'; did you mean 'lookup_feature'?"
    )
