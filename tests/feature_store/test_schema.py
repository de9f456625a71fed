from __future__ import annotations

from typing import TYPE_CHECKING

import jsonschema
import pytest
import yaml
from tests.feature_store.shop import REGISTRY
from tests.feature_store.test_registry import WRONG, changed

from recserve.feature_store.records import View
from recserve.feature_store.sample import REGISTRY as SAMPLE
from recserve.feature_store.schema import schema

if TYPE_CHECKING:
    from collections.abc import Iterator

#: What no schema sees: names that refer to others, and keys that go together.
UNSEEN = {
    "feature: prise", "view: item_bse", "entity: itme", "key: id", "event_time: brand", "label: clicks",
    "columns: [categry]", "{kind: redis}", "alias: price", "alias: user_id", "category: array<string>", "",
}  # fmt: skip


def errors_of(text: str) -> Iterator[str]:
    checker = jsonschema.Draft202012Validator(schema())
    for error in checker.iter_errors(yaml.safe_load(text)):
        yield f"{'.'.join(map(str, error.absolute_path))}: {error.message}"


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize("text", [REGISTRY, SAMPLE], ids=["shop", "sample"])
def test_registries_that_load_fit(text: str) -> None:
    assert list(errors_of(text)) == []


@pytest.mark.parametrize(
    ("old", "new"), [(old, new) for old, new, *_ in WRONG if new not in UNSEEN], ids=lambda text: text
)
def test_registries_with_a_mistake_do_not(old: str, new: str) -> None:
    assert list(errors_of(changed((old, new)))) != []


def test_every_key_has_its_sentence() -> None:
    properties = schema()["properties"]["views"]["additionalProperties"]["properties"]

    assert properties["ttl"]["description"] == "Rows older than this count as missing; 0 = never."
    assert all("description" in known or key == "sequences" for key, known in properties.items())
    assert set(properties) > {"fields", "sequences", "event_time"}
    assert View.__doc__
