from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from recserve.features.docs.schema import schema

if TYPE_CHECKING:
    from collections.abc import Callable


def test_the_schema_is_printed_as_it_is(features: Callable[..., Any]) -> None:
    result = features("schema")

    assert result.exit_code == 0
    assert json.loads(result.stdout) == schema()
