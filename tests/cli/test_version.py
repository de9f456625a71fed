"""`recserve version` says what is installed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from recserve import __version__

if TYPE_CHECKING:
    from collections.abc import Callable


def test_versions_are_those_that_are_imported(call: Callable[..., Any]) -> None:
    versions = json.loads(call("version", "--json").stdout)

    assert (versions["recserve"], versions["pyarrow"]) == (__version__, pa.__version__)
    assert f"recserve{__version__}" in call("version").stdout.replace(" ", "")
