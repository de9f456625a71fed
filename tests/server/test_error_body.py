from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recserve.server.error_body import error_body


@pytest.mark.parametrize(
    ("message", "body"),
    [
        ("no healthy upstream", b"no healthy upstream"),
        ("over the limit", b"over the limit"),
        ("Expected a list", b"failed: Expected a list"),
        ("input 'f.values' is missing", b"failed: input 'f.values' is missing"),
        ("", b"failed"),
        ("  \n", b"failed"),
        ("über", "failed: über".encode()),
    ],
)
def test_a_message_is_kept_or_introduced(message: str, body: bytes) -> None:
    assert error_body(message) == body


@given(st.text())
def test_no_protobuf_parser_accepts_an_error_body(message: str) -> None:
    body = error_body(message)

    assert chr(body[0]).isalpha()
    assert body[0] & 7 in (6, 7)  # a wire type that does not exist
    body.decode()


def test_a_long_message_is_cut() -> None:
    assert len(error_body("x" * 100_000)) < 3000
