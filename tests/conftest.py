"""Servers, and a demo, that any test may ask for; each starts with the first test that does."""

import os

# Before anybody imports grpc. Its threads begin anew in a forked process, where the files they wait for are
# closed before another program is there: then that process ends with SIGABRT.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

pytest_plugins = [
    "tests.compile.bundles",
    "tests.end_to_end.newcomer",
    "tests.servers.postgres",
    "tests.servers.redis",
]
