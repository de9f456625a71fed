"""Servers, and a demo, that any test may ask for; each starts with the first test that does."""

pytest_plugins = ["tests.servers.postgres", "tests.servers.redis", "tests.end_to_end.newcomer"]
