"""The server of the tests does what its words say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import redis
from tests.servers.redis import NO_RETRY

if TYPE_CHECKING:
    from tests.servers.redis import RedisServer


def test_a_killed_server_comes_back_empty_under_its_url(own_redis: RedisServer) -> None:
    with redis.Redis.from_url(own_redis.url, retry=NO_RETRY) as client:
        client.set("a", "1")
        own_redis.kill()
        with pytest.raises(redis.ConnectionError):
            client.get("a")
        own_redis.start()

        assert client.get("a") is None


def test_a_paused_server_hangs_until_it_is_resumed(own_redis: RedisServer) -> None:
    with redis.Redis.from_url(own_redis.url, retry=NO_RETRY, socket_timeout=0.2) as client:
        client.set("a", "1")
        own_redis.pause()
        with pytest.raises(redis.TimeoutError):
            client.get("a")
        own_redis.resume()

        assert client.get("a") == b"1"


def test_nobody_comes_in_without_the_password(redis_server: RedisServer) -> None:
    with (
        redis.Redis(port=redis_server.port, retry=NO_RETRY) as client,
        pytest.raises(redis.AuthenticationError),
    ):
        client.ping()
