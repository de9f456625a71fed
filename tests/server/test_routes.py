"""Which path leads where."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from recserve.errors import MethodNotAllowedError, NotFoundError
from recserve.server.routes import Route, Routes

if TYPE_CHECKING:
    from recserve.server.door import Exchange


async def score(exchange: Exchange) -> None:
    """Is never called here."""


async def describe(exchange: Exchange) -> None:
    """Is never called here."""


SCORES = Route("/score/rank", {"GET": describe, "POST": score}, below=True)
ROUTES = Routes(
    "/score/rank", (SCORES, Route("/", {"GET": describe}), Route("/score/rank/own", {"PUT": score}))
)


@pytest.mark.parametrize("path", ["/score/rank", "/score/rank/", "/score/rank/a/b"])
def test_a_route_that_asks_for_it_answers_every_path_below(path: str) -> None:
    assert ROUTES.find(path) is SCORES


@pytest.mark.parametrize("path", ["", "/score", "/score/rankx", "/score/ran", "//", "/own"])
def test_any_other_path_is_not_found_and_says_what_is_answered(path: str) -> None:
    with pytest.raises(NotFoundError, match="this server answers /score/rank"):
        ROUTES.find(path)


def test_an_exact_path_wins_over_one_above_it() -> None:
    assert ROUTES.find("/score/rank/own").handler("PUT") is score


def test_a_method_that_a_path_lacks_is_refused_with_those_that_it_has() -> None:
    assert SCORES.handler("POST") is score
    assert SCORES.allow == b"GET, POST"
    with pytest.raises(MethodNotAllowedError, match="PUT on /score/rank; use GET or POST"):
        SCORES.handler("PUT")


def test_two_routes_for_one_path_are_a_mistake_of_ours() -> None:
    with pytest.raises(AssertionError, match="two routes for /"):
        Routes("/", (Route("/", {"GET": describe}), Route("/", {"GET": score})))
