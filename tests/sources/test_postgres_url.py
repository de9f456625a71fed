"""URLs as people write them, and no password in what is shown."""

from __future__ import annotations

import pytest

from recserve.errors import ConfigError
from recserve.sources.postgres_url import Address


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://u:p@h:80/d", {"user": "u", "password": "p", "host": "h", "port": "80", "dbname": "d"}),
        ("postgresql:// LTAI5t:s3@h:80/d ", {"user": "LTAI5t", "password": "s3", "host": "h", "port": "80"}),
        ("postgres://u@h/d", {"user": "u", "host": "h", "dbname": "d"}),
        ("hologres://u:p@h/d", {"user": "u", "password": "p", "host": "h"}),
        ("jdbc:postgresql://h:80/d?user=u&password=p", {"user": "u", "password": "p", "host": "h"}),
        ("postgresql+psycopg2://u:p@h/d", {"user": "u", "password": "p"}),
        ("postgresql://u:a%2Fb%40c@h/d", {"password": "a/b@c"}),
        ("postgresql://u:a/b@c@h/d", {"password": "a/b@c", "host": "h", "dbname": "d"}),
        ("postgresql://u:100%@h/d", {"password": "100%"}),
        ("postgresql://u:a?b@h/d?sslmode=require", {"password": "a?b", "host": "h", "sslmode": "require"}),
        ("postgresql://u:a:b@h/d", {"user": "u", "password": "a:b"}),
        ("postgresql://u:p@[::1]:80/d", {"host": "::1", "port": "80"}),
        ("postgresql://u:p@h1:1,h2/d", {"host": "h1,h2", "port": "1,"}),
        ("postgresql:///d", {"dbname": "d"}),
        ("postgresql://u:p@h/d?connect_timeout=5", {"connect_timeout": "5"}),
        ("postgresql://h/d?keepalives_idle=7", {"keepalives_idle": "7", "application_name": "recserve"}),
    ],
)
def test_a_url_is_read(url: str, expected: dict[str, str]) -> None:
    parameters = Address.parse(url).parameters

    assert {name: parameters.get(name) for name in expected} == expected


def test_our_own_limits_stand_behind_the_question_mark() -> None:
    address = Address.parse(
        "postgresql://h/d?connections=2&answer_timeout=1.5&load_timeout=60&sslmode=disable"
    )

    limits = address.limits
    assert (limits.connections, limits.answer_timeout, limits.load_timeout) == (2, 1.5, 60)
    assert {"connections", "answer_timeout", "load_timeout"}.isdisjoint(address.parameters)
    assert address.parameters["sslmode"] == "disable"


@pytest.mark.parametrize(
    "limit", ["connections=0", "connections=1.5", "answer_timeout=soon", "load_timeout=nan"]
)
def test_a_limit_that_is_no_number_is_named(limit: str) -> None:
    with pytest.raises(ConfigError, match=f"{limit} is not a number above 0"):
        Address.parse(f"postgresql://h/d?{limit}")


@pytest.mark.parametrize(
    "url",
    ["", "items.parquet", "mysql://u:s3cret@h/d", "postgresql:u:s3cret@h", "postgresql://u:s3cret@h:x/d"],
)
def test_what_is_no_url_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ConfigError, match=r"model_config\.url") as error:
        Address.parse(url)
    assert "s3cret" not in str(error.value)


@pytest.mark.parametrize("password", ["s3cret", "s3/cr@et", "s3%2Fcret", "100%", "two words", "ä+&"])
def test_the_password_is_not_shown_however_it_is_written(password: str) -> None:
    from urllib.parse import quote, quote_plus

    address = Address.parse(f"postgresql://u:{quote(password, safe='')}@h:1/d")
    forms = [password, quote(password), quote(password, safe=""), quote_plus(password)]
    shown = [address.origin, repr(address), str(address), *map(address.redacted, [f"<{f}>" for f in forms])]

    assert address.origin == "postgresql://h:1/d"
    assert not any(form in text for form in forms for text in shown)


def test_a_text_of_a_driver_becomes_one_line() -> None:
    assert (
        Address.parse("postgresql://h/d").redacted("refused\n\tIs it  running?\n") == "refused Is it running?"
    )
