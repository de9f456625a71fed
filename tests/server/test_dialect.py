"""A member of a group answers clients that know the group alone."""

from __future__ import annotations

import pytest
from tests.server.conftest import DOUBLE, running

from recserve.wire.auth import sign


@pytest.mark.parametrize("path", ["rank", "home", "home.rank", "home/sub", "home.rank/sub?a=b"])
def test_a_member_answers_by_its_own_name_and_by_its_groups(path: str) -> None:
    with running(group="home") as rank:
        target = f"/api/predict/{path}"
        own = rank.post().data
        for headers in ({"Authorization": "token"}, sign("token", target, DOUBLE)):
            answer = rank.http.request("POST", target, body=DOUBLE, headers=headers)
            assert answer.status == 200
            assert answer.data == own


def test_a_member_refuses_other_groups_and_signatures_of_other_paths() -> None:
    with running(group="home") as rank:
        for path, headers, status in (
            ("away", {"Authorization": "token"}, 404),
            ("home.other", {"Authorization": "token"}, 404),
            ("home", {}, 401),
            ("home", sign("token", "/api/predict/rank", DOUBLE), 401),
        ):
            answer = rank.http.request("POST", f"/api/predict/{path}", body=DOUBLE, headers=headers)
            assert answer.status == status


def test_a_group_may_have_the_name_of_its_member() -> None:
    with running(group="rank") as rank:
        assert rank.post().status == 200
