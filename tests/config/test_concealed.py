"""Values from the environment and from files: what they become, and that nobody sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from recserve.config.concealed import Concealed, Elsewhere, blotted, kept, shown
from recserve.config.service import load
from recserve.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

VARIABLES = {"TOKEN": "hidden-1", "PASSWORD": "hidden-2", "USER": "hidden-3", "EMPTY": "", "NAME": "rank"}
TABLES = {"fg_mode": "normal", "remote_type": "postgresql", "tables": [{"name": "items", "key": "id"}]}


def fill(value: Any, base_dir: Path) -> Any:
    return Elsewhere(VARIABLES, base_dir).fill(value, "key")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("${TOKEN}", "hidden-1"),
        ("postgresql://${USER}:${PASSWORD}@db/shop", "postgresql://hidden-3:hidden-2@db/shop"),
        ("$${TOKEN}", "${TOKEN}"),
        ("$$${TOKEN}", "$${TOKEN}"),
        ("$TOKEN", "$TOKEN"),
        ("a $ b { c }", "a $ b { c }"),
        ("file:secret", "hidden-4"),
        ("file:///data/items.parquet", "file:///data/items.parquet"),
        ("profile:secret", "profile:secret"),
        ("file:", "file:"),
    ],
)
def test_a_text_is_filled_in(text: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hidden-4\n")

    assert fill(text, tmp_path) == expected


def test_objects_and_lists_are_filled_in_to_the_last_text(tmp_path: Path) -> None:
    value = {"a": ["${TOKEN}", 1, None, {"b": "${USER}"}], "c": True}

    assert fill(value, tmp_path) == {"a": ["hidden-1", 1, None, {"b": "hidden-3"}], "c": True}


def test_what_a_value_brings_is_not_filled_in_again(tmp_path: Path) -> None:
    elsewhere = Elsewhere({"OUTER": "${INNER}", "INNER": "x"}, tmp_path)

    assert elsewhere.fill("${OUTER}", "key") == "${INNER}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("${LOST}", "key: the environment variable LOST is not set; set it, or write $${LOST} for the text"),
        ("a${EMPTY}b", "key: the environment variable EMPTY is empty; set it"),
        ("${TOKEN", "key: ${ names no variable; write ${NAME}, or $${ for a plain ${"),
        ("${1X}", "key: ${ names no variable"),
        ("file:lost", "lost cannot be read: No such file or directory"),
        ("file:.", "cannot be read: Is a directory"),
        ("file:empty", "empty is empty; a value is expected in it"),
        ("file:large", "large is larger than 65,536 bytes; a value is expected in it"),
        ("file:binary", "binary is not UTF-8"),
        ("file:a\0b", "cannot be read"),
    ],
)
def test_what_cannot_be_filled_in_is_an_error_with_key_and_name(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "large").write_text("x" * 65_537)
    (tmp_path / "binary").write_bytes(b"\xff\xfe")

    with pytest.raises(ConfigError) as raised:
        fill(text, tmp_path)

    assert said in str(raised.value)
    assert str(raised.value).startswith("key: ")


def test_a_concealed_text_is_itself_and_shows_nothing() -> None:
    text = Concealed.of("postgresql://me:hidden@db", ["hidden"])

    assert text == "postgresql://me:hidden@db"
    assert repr(text) == "'postgresql://me:***@db'"
    assert f"{ {'url': text} }" == "{'url': 'postgresql://me:***@db'}"
    assert shown(text) == "postgresql://me:***@db"
    assert repr(kept(text.upper(), text)) == repr("POSTGRESQL://ME:HIDDEN@DB")
    assert kept("plain", "plain").__class__ is str


def test_the_longest_secret_is_blotted_first() -> None:
    assert blotted("abc ab", ["ab", "abc", ""]) == "*** ***"


SPECS: dict[str, dict[str, Any]] = {
    "token": {"token": "${TOKEN}"},
    "tokens": {"token": ["${TOKEN}", "other"]},
    "token in metadata": {"metadata": {"token": "${TOKEN}"}},
    "url": {"model_config": {**TABLES, "url": "postgresql://me:${TOKEN}@db/shop"}},
    "model_config as a text": {
        "model_config": '{"pass_through_data": {"a": "${TOKEN}"}, "fg_mode": "normal"}'
    },
    "condition": {
        "model_config": {
            **TABLES,
            "url": "postgresql://db/shop",
            "tables": [{"name": "items", "key": "id", "condition": "owner = '${TOKEN}'"}],
        }
    },
    "region": {
        "model_config": {"fg_mode": "normal", "fs_project": "p", "fs_model": "m", "region": "${TOKEN}"}
    },
    "outputs": {"model_config": {"outputs": "probs,${TOKEN}"}},
    "a dotted key": {"metadata.rpc.tls_certificate": "${TOKEN}", "metadata.rpc.tls_key": "key.pem"},
    "processor_envs": {"processor_envs": [{"name": "OMP_PLACES", "value": "${TOKEN}"}]},
}


@pytest.mark.parametrize("values", SPECS.values(), ids=SPECS)
def test_whatever_came_from_elsewhere_is_a_secret_of_the_service(values: dict[str, Any]) -> None:
    spec = load(values, VARIABLES)

    assert "hidden-1" in spec.secrets
    assert "hidden-1" not in repr(spec)
    assert "hidden-1" not in "".join(spec.warnings) + "".join(spec.origins.values())


def test_numbers_choices_and_the_name_are_no_secrets() -> None:
    values = {
        "name": "${NAME}",
        "metadata": {"rpc": {"max_body_bytes": "${SIZE}"}},
        "model_config": {"fg_mode": "${MODE}"},
    }
    spec = load(values, {"NAME": "rank", "SIZE": "1048576", "MODE": "normal"})

    assert (spec.name, spec.rpc.max_body_bytes, spec.model.fg_mode) == ("rank", 1048576, "normal")
    assert spec.secrets == ()
    assert "rank" in repr(spec)


def test_what_is_too_short_to_hide_is_left_in_logs_but_not_in_reprs() -> None:
    spec = load({"model_config": {"fg_mode": "normal", "pass_through_data": {"a": "${A}"}}}, {"A": "x"})

    assert spec.secrets == ()
    assert "{'a': '***'}" in repr(spec)


@pytest.mark.parametrize(
    "values",
    [
        {"metadata": {"rpc": {"keepalive": "${TOKEN}"}}},
        {"model_config": {"fg_mode": "${TOKEN}"}},
        {"processor": "${TOKEN}"},
        {"model_config": {"fg_mode": "normal", "outputs": "${TOKEN},${TOKEN}"}},
    ],
)
def test_an_error_about_such_a_value_does_not_show_it(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as raised:
        load(values, VARIABLES)

    assert "hidden" not in str(raised.value)
    assert "***" in str(raised.value)


def test_what_is_not_read_may_hold_variables_of_others() -> None:
    storage = [{"mount_path": "/model", "oss": {"path": "oss://${BUCKET}/export"}}]

    assert load({"storage": storage, "metadata": {"resource": "${POOL}"}}, {}).warnings == ()


def test_files_are_found_from_the_service_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("hidden-5\r\n")
    path = tmp_path / "service.json"
    path.write_text('{"token": "file:token"}')

    assert load(path, {}).tokens == ("hidden-5",)
    assert load({"token": "file:token"}, {}, base_dir=tmp_path).tokens == ("hidden-5",)


def test_an_error_names_file_key_and_variable(tmp_path: Path) -> None:
    path = tmp_path / "service.json"
    path.write_text('{"metadata": {"token": "${RANK_TOKEN}"}}')

    with pytest.raises(ConfigError, match=r"service\.json: metadata\.token: .* RANK_TOKEN is not set"):
        load(path, {})
