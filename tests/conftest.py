"""Servers, and a demo, that any test may ask for; each starts with the first test that does."""

pytest_plugins = [
    "tests.compile.bundles",
    "tests.end_to_end.newcomer",
    "tests.servers.postgres",
    "tests.servers.redis",
]
