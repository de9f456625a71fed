"""Who gets in: the rules that every existing client needs, and nobody else."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest

from recserve.errors import UnauthorizedError
from recserve.wire.auth import Authorizer, sign

TOKEN = "c2VjcmV0"
PATH = "/api/predict/svc"
BODY = b"a request"


def signed(
    path: str = PATH,
    *,
    token: str = TOKEN,
    md5: str | None = "0" * 32,
    content_type: str | None = "application/octet-stream",
    date: str | None = "Tue, 01 Jan 2019 08:00:00 GMT",
    method: str = "POST",
) -> dict[str, str]:
    """Headers as a client writes them, by the letter of the protocol; None = the header is not sent."""
    text = "\n".join([method, md5 or "", content_type or "", date or "", path])
    digest = base64.b64encode(hmac.new(token.encode(), text.encode(), hashlib.sha1).digest()).decode()
    headers = {
        "Content-MD5": md5,
        "Content-Type": content_type,
        "Date": date,
        "Authorization": f"EAS {digest}",
    }
    return {name: value for name, value in headers.items() if value is not None}


def lower(headers: dict[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


ALLOWED: list[tuple[str, str, dict[str, str]]] = [
    ("the plain token", PATH, {"Authorization": TOKEN}),
    ("the second token, while they are rotated", PATH, {"authorization": "next"}),
    ("a signature", PATH, signed()),
    ("a signature made with the second token", PATH, signed(token="next")),
    ("header names in lower case", PATH, lower(signed())),
    ("a date years off", PATH, signed(date="Mon, 01 Jan 1990 00:00:00 GMT")),
    ("an MD5 that lost its leading zero", PATH, signed(md5="a" * 31)),
    ("an MD5 of something else", PATH, signed(md5="f" * 32)),
    ("no MD5, type and date", PATH, signed(md5=None, content_type=None, date=None)),
    ("a query signed and sent", PATH + "?a=1&b=%20", signed(PATH + "?a=1&b=%20")),
    ("a query sent and not signed", PATH + "?a=1", signed()),
    ("a trailing slash signed and not sent", PATH, signed(PATH + "/")),
    ("a trailing slash sent and not signed", PATH + "/", signed()),
    ("the slash before a query", PATH + "/?a=1", signed(PATH + "?a=1")),
    ("a path below the service", PATH + "/sub", signed(PATH + "/sub")),
    ("a GET", PATH, {"Authorization": TOKEN}),
]


@pytest.mark.parametrize(("target", "headers"), [a[1:] for a in ALLOWED], ids=[a[0] for a in ALLOWED])
def test_a_client_that_knows_a_token_gets_in(target: str, headers: dict[str, str]) -> None:
    Authorizer([TOKEN, "next"]).check("POST", target, headers)


REFUSED: list[tuple[str, str, dict[str, str]]] = [
    ("no header", PATH, {}),
    ("an empty header", PATH, {"Authorization": ""}),
    ("a wrong token", PATH, {"Authorization": TOKEN + "x"}),
    ("half a token", PATH, {"Authorization": TOKEN[:4]}),
    ("Bearer", PATH, {"Authorization": f"Bearer {TOKEN}"}),
    ("a signature with another token", PATH, signed(token="other")),
    ("half a signature", PATH, {**signed(), "Authorization": signed()["Authorization"][:-5]}),
    ("no signature", PATH, {**signed(), "Authorization": "EAS "}),
    ("a signature that is no base64", PATH, {**signed(), "Authorization": "EAS \xe4\xb8"}),
    ("another path", PATH, signed("/api/predict/other")),
    ("another query", PATH + "?a=2", signed(PATH + "?a=1")),
    ("a query that is signed and not sent", PATH, signed(PATH + "?a=1")),
    ("another date", PATH, {**signed(), "Date": "Wed, 02 Jan 2019 08:00:00 GMT"}),
    ("another type", PATH, {**signed(), "Content-Type": "text/plain"}),
    ("another MD5", PATH, {**signed(), "Content-MD5": "1" * 32}),
    ("another method", PATH, signed(method="GET")),
    ("a token beyond Latin-1", PATH, {"Authorization": "中文"}),
]


@pytest.mark.parametrize(("target", "headers"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED])
def test_everybody_else_is_refused_with_401(target: str, headers: dict[str, str]) -> None:
    with pytest.raises(UnauthorizedError, match=r"^not authorized: ") as caught:
        Authorizer([TOKEN, "next"]).check("POST", target, headers)
    assert caught.value.status == 401
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize("tokens", [(), ("",)])
def test_without_tokens_everybody_gets_in(tokens: tuple[str, ...]) -> None:
    Authorizer(tokens).check("POST", PATH, {})


def test_an_empty_token_among_others_opens_nothing() -> None:
    with pytest.raises(UnauthorizedError):
        Authorizer(["", TOKEN]).check("POST", PATH, {"Authorization": ""})


def test_what_our_client_signs_gets_in() -> None:
    headers = sign(TOKEN, PATH + "?a=1", BODY)

    assert headers["Content-MD5"] == hashlib.md5(BODY).hexdigest()
    assert TOKEN not in str(headers)
    Authorizer([TOKEN]).check("POST", PATH + "?a=1", headers)
    with pytest.raises(UnauthorizedError):
        Authorizer(["other"]).check("POST", PATH + "?a=1", headers)


def test_a_token_may_be_any_text() -> None:
    headers = sign("密钥 ключ", PATH, BODY)
    Authorizer(["密钥 ключ"]).check("POST", PATH, headers)
    Authorizer(["密钥"]).check("POST", PATH, {"Authorization": "密钥".encode().decode("latin-1")})


def test_a_signature_equals_the_one_worked_out_by_hand() -> None:
    headers = sign(TOKEN, PATH, BODY, date="Tue, 01 Jan 2019 08:00:00 GMT")
    expected = signed(md5=hashlib.md5(BODY).hexdigest())
    assert headers == expected


def test_the_token_is_not_shown() -> None:
    assert repr(Authorizer([TOKEN, "next"])) == "Authorizer(2 tokens)"
