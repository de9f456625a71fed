"""Servers that any test may ask for; each starts with the first test that does."""

pytest_plugins = ["tests.servers.postgres", "tests.servers.redis"]
