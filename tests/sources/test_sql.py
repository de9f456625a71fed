"""Names are quoted, and a condition stays inside its parentheses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recserve.errors import ConfigError
from recserve.sources.sql import checked_condition, quoted, split_name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("items", ("", "items")),
        ("shop.items", ("shop", "items")),
        ('"my shop"."items.v2"', ("my shop", "items.v2")),
        ('shop."a""b"', ("shop", 'a"b')),
        ("Größe", ("", "Größe")),
        ("items; DROP TABLE items", ("", "items; DROP TABLE items")),
    ],
)
def test_names_are_split_at_their_dot(name: str, expected: tuple[str, str]) -> None:
    assert split_name(name) == expected


@pytest.mark.parametrize("name", ["", ".", "a.", ".a", "a.b.c", '"a', 'a"b', '"a"b', "a..b", " ", 'a."b'])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r"neither 'table' nor 'schema\.table'"):
        split_name(name)


@given(st.text(min_size=1).filter(lambda text: "\0" not in text))
def test_a_quoted_name_is_one_name(name: str) -> None:
    assert split_name(quoted(name)) == ("", name.strip() if name.strip() == name else name)


@pytest.mark.parametrize("name", ["", "a\0b"])
def test_what_cannot_be_quoted_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="is no name"):
        quoted(name)


@pytest.mark.parametrize(
    "condition",
    [
        "price > 3 AND (colour = 'red' OR NOT sold)",
        "title LIKE '%;%' -- it's; fine)",
        "title <> ')' AND \"odd)name;\" = 1",
        "/* a ) comment /* nested ; */ ' */ price > 3",
        "title = E'it\\'s ; )' AND true",
        "title = 'it''s; )'",
        "title = $$it's ; )$$ OR title = $q$ $$ ; ) $q$",
        "a$b > 1 AND price::int % 2 = 0",
        "id IN (SELECT id FROM other WHERE (x))",
        "price > 3 --",
    ],
)
def test_an_expression_is_taken_as_it_is(condition: str) -> None:
    assert checked_condition(condition, "table 't'") == f"(\n{condition}\n)"


@pytest.mark.parametrize("condition", ["", "  \n"])
def test_no_condition_is_none(condition: str) -> None:
    assert checked_condition(condition, "table 't'") == ""


@pytest.mark.parametrize(
    ("condition", "why"),
    [
        ("1=1) OR (1=1", "closes a parenthesis that it did not open"),
        ("1=1) OR true; DROP TABLE items", "closes a parenthesis"),
        ("true; DROP TABLE items", "has ';' in it"),
        ("(price > 3", "opens a parenthesis and does not close it"),
        ("title = 'red", "opens ' and does not close it"),
        ("title = E'red\\'", "opens ' and does not close it"),
        ('"title = 1', 'opens " and does not close it'),
        ("true /* and", "opens a comment and does not close it"),
        ("true /* /* */", "opens a comment and does not close it"),
        ("title = $$red", r"opens \$ and does not close it"),
        ("title = $q$red$r$", r"opens \$ and does not close it"),
        ("price > $1", "has a parameter"),
        ("title = 'x' -- \n ) OR (true", "closes a parenthesis"),
        ("true \0", "has '\\\\x00' in it"),
    ],
)
def test_what_would_leave_the_parentheses_is_refused(condition: str, why: str) -> None:
    with pytest.raises(ConfigError, match=f"table 't': condition .* {why}"):
        checked_condition(condition, "table 't'")
