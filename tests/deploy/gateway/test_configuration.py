"""What becomes of a request on its way through HAProxy."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from tests.deploy.gateway.apps import CONTAINER, apps, ask, put_instance, put_service
from tests.deploy.gateway.opening import opened, settle, until

from recserve.wire.auth import sign

if TYPE_CHECKING:
    from recserve.deploy.store import Store


def test_a_service_is_asked_by_its_name_at_any_path_below_it(store: Store) -> None:
    with apps("aa") as running, opened(store) as gateway:
        put_service(store, "rank")
        put_instance(store, "rank", running["aa"])
        settle(gateway)

        for path in ("/api/predict/rank", "/api/predict/rank/", "/api/predict/rank/v1/score?debug=1"):
            answer = ask(gateway.url, path)

            assert answer.status == 200
            assert answer.asked["path"] == path
            assert answer.asked["length"] == 4


def test_unknown_names_are_404_and_names_without_instances_503(store: Store) -> None:
    put_service(store, "empty")
    with opened(store) as gateway:
        unknown, nobody = ask(gateway.url, "/api/predict/none"), ask(gateway.url, "/api/predict/empty")

        assert (unknown.status, unknown.body) == (404, b"there is no service or group 'none'")
        assert (nobody.status, nobody.body) == (503, b"no healthy upstream")
        assert ask(gateway.url, "/healthz", method="GET").status == 200


@pytest.mark.parametrize(
    "path",
    ["/", "/api/predict", "/api/predict/", "/api/predict/%2e%2e/x", "/api/predict/*", "/api/v2/services"],
)
def test_whatever_names_no_service_is_404(store: Store, path: str) -> None:
    put_service(store, "rank")
    with opened(store) as gateway:
        assert ask(gateway.url, path).status == 404


def test_discovery_is_answered_by_the_control_plane_behind_the_same_address(store: Store) -> None:
    with apps("plane") as running, opened(store, control=f"127.0.0.1:{running['plane'].port}") as gateway:
        for path in (
            "/api/v1/servicediscovery/upstreams/rank",
            "/exported/apis/eas.alibaba-inc.k8s.io/v1/upstreams/rank?internal=true",
        ):
            answer = ask(gateway.url, path, method="GET", body=b"")

            assert answer.asked["app"] == "plane"
            assert answer.asked["path"] == path


def test_a_group_is_shared_by_weight_and_its_members_have_names_of_their_own(store: Store) -> None:
    with apps("old-a", "old-b", "old-c", "new-a", "new-b") as running, opened(store) as gateway:
        put_service(store, "old", group="rank", grouped=True, weight=90)
        put_service(store, "new", group="rank", grouped=True, weight=10)
        for name, app in running.items():
            put_instance(store, name[:3], app)
        settle(gateway)

        counts = Counter(ask(gateway.url, "/api/predict/rank").asked["app"] for _ in range(300))

        old = [counts[f"old-{letter}"] for letter in "abc"]
        assert sum(old) == pytest.approx(270, abs=6)
        assert max(old) - min(old) <= 2
        assert ask(gateway.url, "/api/predict/rank.new").asked["app"].startswith("new")
        assert ask(gateway.url, "/api/predict/other.new").status == 404

        put_service(store, "old", group="rank", grouped=True, weight=0)
        settle(gateway)

        assert all(ask(gateway.url, "/api/predict/rank").asked["app"][:3] == "new" for _ in range(20))


def test_apps_get_the_path_below_their_name(store: Store) -> None:
    with apps("aa") as running, opened(store) as gateway:
        put_service(store, "app", CONTAINER)
        put_service(store, "deep", {**CONTAINER, "metadata": {"rpc": {"proxy_path": "/v1"}}})
        for service, top in (("app", ""), ("deep", "/v1")):
            put_instance(store, service, running["aa"])
            settle(gateway)

            for below, path in (("", "/"), ("/", "/"), ("/score", "/score"), ("/a/b?c=%20d", "/a/b?c=%20d")):
                asked = ask(gateway.url, f"/api/predict/{service}{below}").asked

                assert asked["path"] == top + path


@pytest.mark.parametrize("token", ["simple", "with: colons, = signs; \\ and 'quotes' <<", "für-alle"])
def test_the_gateway_checks_the_tokens_of_apps(store: Store, token: str) -> None:
    with apps("aa") as running, opened(store) as gateway:
        put_service(store, "app", CONTAINER, token=token)
        put_instance(store, "app", running["aa"])
        settle(gateway)
        sent = token.encode().decode("latin-1")

        def status(path: str, headers: dict[str, str]) -> int:
            return ask(gateway.url, path, b"user", headers).status

        assert status("/api/predict/app", {}) == 401
        assert status("/api/predict/app", {"Authorization": sent + "x"}) == 401
        assert status("/api/predict/app", {"Authorization": ""}) == 401
        assert status("/api/predict/app", {"Authorization": sent}) == 200
        for path in ("/api/predict/app", "/api/predict/app/", "/api/predict/app/score?x=1"):
            assert status(path, sign(token, path, b"user")) == 200
            assert status(path, sign(token, path.partition("?")[0], b"user")) == 200
            assert status(path, sign("other", path, b"user")) == 401
        assert status("/api/predict/app/", sign(token, "/api/predict/app", b"user")) == 200
        assert status("/api/predict/app/other", sign(token, "/api/predict/app", b"user")) == 401
        assert len(running["aa"].asked) == 8


def test_apps_of_a_group_are_asked_with_its_token_or_their_own(store: Store) -> None:
    with apps("aa", "bb") as running, opened(store) as gateway:
        for name, app in zip(("old", "new"), running.values(), strict=True):
            put_service(
                store, name, CONTAINER, token=f"of-{name}", group="all", group_token="of-all", grouped=True
            )
            put_instance(store, name, app)
        settle(gateway)

        def status(name: str, token: str) -> list[int]:
            path = f"/api/predict/{name}"
            headers = ({"Authorization": token}, sign(token, path, b"user"))
            return [ask(gateway.url, path, b"user", one).status for one in headers]

        for name in ("old", "all.old"):
            assert status(name, "of-old") == status(name, "of-all") == [200, 200]
            assert status(name, "of-new") == status(name, "") == [401, 401]
        assert status("all", "of-all") == [200, 200]
        assert status("all", "of-old") == status("all", "") == [401, 401]

        put_service(store, "open", CONTAINER, group="all", group_token="of-all")
        put_instance(store, "open", running["aa"])
        settle(gateway)
        assert status("all.open", "") == status("open", "whatever") == [200, 200]


def test_scorers_check_their_tokens_themselves(store: Store) -> None:
    with apps("aa") as running, opened(store) as gateway:
        put_service(store, "rank", token="secret")
        put_instance(store, "rank", running["aa"])
        settle(gateway)

        assert ask(gateway.url, "/api/predict/rank", headers={"Authorization": "x"}).asked["token"] == "x"


def test_tokens_lie_nowhere_in_the_gateways_folder(store: Store) -> None:
    put_service(store, "app", CONTAINER, token="a-secret-of-the-app")
    with opened(store) as gateway:
        settle(gateway)
        folder = store.folder / "gateway"

        assert folder.stat().st_mode & 0o077 == 0
        assert (folder / "admin.sock").stat().st_mode & 0o077 == 0
        for path in folder.iterdir():
            if path.is_file():
                assert b"a-secret" not in path.read_bytes()


def test_a_rate_limit_lets_as_many_in_as_it_says_however_many_are_sent(store: Store) -> None:
    limits = {"networking": {"gateway_policy": {"rate_limit": {"enable": True, "limit": 5}}}}
    with apps("aa") as running, opened(store) as gateway:
        put_service(store, "rank", limits, group="all", grouped=True)
        put_instance(store, "rank", running["aa"])
        settle(gateway)

        statuses = Counter(ask(gateway.url, "/api/predict/rank").status for _ in range(40))
        by_member = ask(gateway.url, "/api/predict/all.rank")

        assert set(statuses) == {200, 429}
        assert statuses[429] > statuses[200] >= 5
        assert by_member.status == 429, "another name of a service is no way around its limit"
        assert by_member.body == b"more than 5 requests per second for 'rank'"
        until(lambda: ask(gateway.url, "/api/predict/rank").status == 200)


def test_a_concurrency_limit_refuses_whoever_comes_on_top(store: Store) -> None:
    limits = {"networking": {"gateway_policy": {"concurrency_limit": {"enable": True, "limit": 2}}}}
    with apps("aa") as running, opened(store) as gateway:
        app = running["aa"]
        put_service(store, "rank", limits)
        put_instance(store, "rank", app)
        settle(gateway)
        app.pause.clear()
        answers: list[int] = []
        callers = [
            threading.Thread(target=lambda: answers.append(ask(gateway.url, "/api/predict/rank").status))
            for _ in range(2)
        ]
        for caller in callers:
            caller.start()
        until(lambda: len(app.asked) == 2)

        refused = ask(gateway.url, "/api/predict/rank")
        app.pause.set()
        for caller in callers:
            caller.join()

        assert refused.status == 429
        assert refused.body == b"more than 2 requests at once for 'rank'"
        assert answers == [200, 200]
        until(lambda: ask(gateway.url, "/api/predict/rank").status == 200)


def test_a_mirror_gets_copies_with_its_own_token_and_nobody_waits_for_it(store: Store) -> None:
    with apps("aa", "shadow") as running, opened(store) as gateway:
        put_service(store, "rank", token="token of rank", mirror={"ratio": 100, "target": ["next"]})
        put_service(store, "next", token="token of next", mirror={"ratio": 100, "target": ["rank"]})
        put_instance(store, "rank", running["aa"])
        put_instance(store, "next", running["shadow"])
        settle(gateway)
        shadow = running["shadow"]
        shadow.pause.clear()

        for length in (0, 10, 40_000):
            answer = ask(gateway.url, "/api/predict/rank/score?x=1", b"x" * length)
            assert answer.asked["length"] == length
        until(lambda: len(shadow.asked) == 3)
        shadow.pause.set()

        assert sorted(one["length"] for one in shadow.asked) == [0, 10, 40_000]
        assert {one["path"] for one in shadow.asked} == {"/api/predict/next/score?x=1"}
        assert {one["token"] for one in shadow.asked} == {"token of next"}
        assert len(running["aa"].asked) == 3, "copies are not copied back"

        put_service(store, "rank", token="token of rank", mirror={})
        settle(gateway)
        ask(gateway.url, "/api/predict/rank")
        assert len(shadow.asked) == 3


def test_a_mirror_gets_its_share(store: Store) -> None:
    with apps("aa", "shadow") as running, opened(store) as gateway:
        put_service(store, "rank", mirror={"ratio": 20, "target": ["next"]})
        put_service(store, "next")
        put_instance(store, "rank", running["aa"])
        put_instance(store, "next", running["shadow"])
        settle(gateway)

        for _ in range(400):
            assert ask(gateway.url, "/api/predict/rank").status == 200

        until(lambda: len(running["shadow"].asked) >= 40)
        assert len(running["shadow"].asked) <= 120
