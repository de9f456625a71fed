"""Whatever a document holds, it is read or refused with a reason."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.config.test_service import PROCESSOR_PAGE_NORMAL, TORCHEASYREC_DOCS

from recserve.deploy.document import order, read
from recserve.deploy.errors import RefusedError
from recserve.deploy.keys import KEYS

SCORER: dict[str, Any] = {
    **TORCHEASYREC_DOCS,
    **{key: PROCESSOR_PAGE_NORMAL[key] for key in ("cloud",)},
    "name": "rank",
    "storage": None,
    "model_path": "/usr",
    "labels": {"team": "search"},
    "autoscaler": {"min": 1, "max": 3, "strategies": {"qps": 5}},
    "cronscaler": {"scaleJobs": [{"schedule": "0 8 * * *", "targetSize": 2}]},
    "runtime": {"enable_crash_block": False},
    "networking": {"gateway_policy": {"rate_limit": {"enable": True, "limit": 5}}},
    "processor_envs": [{"name": "NO_GRAD_GUARD", "value": "1"}],
}
APP: dict[str, Any] = {
    "name": "app",
    "containers": [
        {
            "script": "python app.py",
            "port": 8000,
            "env": [{"name": "A", "value": "b"}],
            "prepare": {"pythonRequirements": ["flask"]},
            "health_check": {"http_get": {"path": "/"}, "period_seconds": 1},
        }
    ],
    "storage": [
        {"mount_path": "/data", "host_path": {"path": "/usr"}, "properties": {"resource_type": "data"}}
    ],
}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)
NAMES = sorted({key for keys in KEYS.values() for key in keys})


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every path into a document."""
    inner: Any = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    return [path, *(found for key, below in inner for found in places(below, (*path, key)))]


def replaced(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    copy = dict(document) if isinstance(document, dict) else list(document)
    copy[path[0]] = replaced(copy[path[0]], path[1:], value)
    return copy


@settings(max_examples=300, deadline=None)
@given(data=st.data(), which=st.sampled_from([SCORER, APP]))
def test_a_value_of_any_kind_anywhere_is_read_or_refused(data: st.DataObject, which: dict[str, Any]) -> None:
    path = data.draw(st.sampled_from(places(which)[1:]))
    document = replaced(which, path, data.draw(VALUES))
    with contextlib.suppress(RefusedError):
        json.dumps(dict(order(read(document), 1, "i", "token").files))


@settings(max_examples=200, deadline=None)
@given(where=st.sampled_from(["", "metadata"]), key=st.sampled_from(NAMES), value=VALUES)
@example(where="", key="cloud", value={"computing": []})
def test_a_key_of_any_value_is_read_or_refused(where: str, key: str, value: Any) -> None:
    document = {**SCORER, key: value} if not where else {**SCORER, where: {**SCORER[where], key: value}}
    with contextlib.suppress(RefusedError):
        read(document)


def test_the_documents_themselves_are_read() -> None:
    assert read(SCORER).name == "rank"
    assert read(APP).name == "app"
