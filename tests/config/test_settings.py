"""A setting is one line; what holds for every one of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from recserve.config import hosted_keys
from recserve.config.reference import hosted_settings, reference
from recserve.config.sections import SECTIONS
from recserve.config.settings import OURS, Setting, default_of, read, setting, settings
from recserve.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

ALL = [
    pytest.param(section.record, key, known, id=f"{section.title}.{key}")
    for section in SECTIONS
    for key, (known, _) in settings(section.record).items()
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
    for section in SECTIONS:
        assert not settings(section.record).keys() & hosted_keys.known_keys(section.where)


def test_no_two_settings_of_an_object_have_one_name() -> None:
    paths = [section.path(key) for section in SECTIONS for key in settings(section.record)]

    assert sorted(paths) == sorted(set(paths))


def test_the_reference_page_has_a_row_for_every_setting_and_hosted_key() -> None:
    page = reference()
    for _, key, known in (param.values for param in ALL):
        assert f"| `{key}` |" in page
        assert f"{getattr(known, 'sentence', '')} | {getattr(known, 'source', '')} |" in page
    for where, keys in hosted_keys.ACCEPTED.items():
        assert all(f"`{where}.{key}`" in page if where else f"`{key}`" in page for key in keys)


def test_the_reference_page_says_type_unit_and_default() -> None:
    assert (
        "| `keepalive` | whole number, ms | `5000` | Time budget of a request: receive, wait and compute. "
        "Over it: 408, and the connection is closed. | EAS service parameters |"
    ) in reference()


def test_the_table_for_those_who_move_has_what_others_had_first_and_nothing_of_ours() -> None:
    page = hosted_settings()
    for section in SECTIONS:
        for key, (known, _) in settings(section.record).items():
            name = key if section.where == "processor_envs" else section.path(key)
            assert (f"| `{name}` | {known.source} |" in page) == (known.source != OURS)


@dataclass(frozen=True, slots=True)
class Texts:
    free: Mapping[str, str] = setting({}, "Texts by name.")
    chosen: Mapping[str, str] = setting({"a": "1"}, "Texts by these names.", keys=("alpha", "beta"))


def test_an_object_of_strings_takes_numbers_as_they_are_written() -> None:
    result = read(Texts, {"free": {"version": 7, "on": True, "score": 0.5, "name": "x"}}, "")

    assert result.free == {"version": "7", "on": "true", "score": "0.5", "name": "x"}
    assert read(Texts, {}, "") == Texts({}, {"a": "1"})


def test_defaults_of_objects_are_nobody_elses() -> None:
    assert Texts().chosen is not Texts().chosen


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"free": ["a"]}, 'free: [\'a\'] is not an object of strings; write {"model_version": "7"}'),
        ({"free": {"a": None}}, "free: {'a': None} is not an object of strings"),
        ({"chosen": {"alpa": "1"}}, "chosen: unknown key 'alpa'; did you mean 'alpha'?"),
        ({"chosen": {"zzz": "1"}}, "chosen: unknown key 'zzz'; known: alpha, beta"),
    ],
)
def test_an_object_of_strings_says_what_it_takes(values: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        read(Texts, values, "")

    assert said in str(raised.value)
