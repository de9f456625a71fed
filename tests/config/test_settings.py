"""A setting is one line; what holds for every one of them."""

from __future__ import annotations

import pytest

from recserve.config import hosted_keys
from recserve.config.reference import SECTIONS, reference
from recserve.config.settings import Setting, default_of, read, settings

ALL = [
    pytest.param(section, key, known, id=f"{title}.{key}")
    for title, section in SECTIONS.items()
    for key, (known, _) in settings(section).items()
]


@pytest.mark.parametrize(("section", "key", "known"), ALL)
def test_every_setting_has_a_sentence(section: type, key: str, known: Setting) -> None:
    assert known.sentence[0].isupper() or known.sentence.split(":")[0] in (*known.choices, "2")
    assert known.sentence.endswith(".")


@pytest.mark.parametrize(("section", "key", "known"), ALL)
def test_every_default_is_a_value_that_could_be_written(section: type, key: str, known: Setting) -> None:
    default = default_of(settings(section)[key][1])
    required = {name: "x" for name, (other, _) in settings(section).items() if other.required}
    result: object = read(section, {**required, key: default} if not known.required else required, "")
    assert read(section, required, "") == result


def test_no_key_of_the_hosted_product_is_also_a_setting() -> None:
    for where, section in SECTIONS.items():
        name = "" if where == "Top level" else where
        assert not settings(section).keys() & hosted_keys.known_keys(name)


def test_the_reference_page_has_a_row_for_every_setting_and_hosted_key() -> None:
    page = reference()
    for _, key, known in (param.values for param in ALL):
        assert f"| `{key}` |" in page
        assert f"{getattr(known, 'sentence', '')} |" in page
    for where, keys in hosted_keys.ACCEPTED.items():
        assert all(f"`{where}.{key}`" in page if where else f"`{key}`" in page for key in keys)


def test_the_reference_page_says_type_unit_and_default() -> None:
    assert (
        "| `keepalive` | whole number, ms | `5000` | Time budget of a request: receive, wait and compute. "
        "Over it: 408, and the connection is closed. |"
    ) in reference()
