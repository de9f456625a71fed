"""What the reference page says of the code: every key of a document, and every operation of the API."""

from __future__ import annotations

from typing import Any, cast

from recserve.deploy.api.app import operations
from recserve.deploy.keys import Fate, table


def keys() -> str:
    """A row for every key, in the order of the table."""
    rows = [
        f"| `{path}` | {key.fate} | {key.sentence or 'Nothing is billed here.'} |"
        for path, key in table().items()
    ]
    assert set(Fate) == {key.fate for key in table().values()}
    return "\n".join(["| key | here | meaning, or why not |", "|---|---|---|", *rows]) + "\n"


def api() -> str:
    """A row for every operation; what a path begins with is said once, on the page."""
    every = operations(cast("Any", None))  # handlers are not called
    asked = [f"{one.method} {one.path.removeprefix('/api/v2')}" for one in every]
    rows = [
        f"| `{request}` | {one.name} | {one.summary}{_query(one.query)} |"
        for request, one in zip(asked, every, strict=True)
    ]
    return "\n".join(["| request | operation | what it does |", "|---|---|---|", *rows]) + "\n"


def _query(names: Any) -> str:
    return f" ({', '.join(f'`{name}`' for name in names)})" if names else ""
