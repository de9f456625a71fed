"""Failures inside of the contract show their values, as those of test files do."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite(
    *(f"tests.sources.{name}" for name in ("place", "reading", "changing", "asking"))
)
