"""A server that speaks the S3 protocol, from moto: a stand-in for an object store, not a real one."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING
from unittest import mock

import fsspec
from moto.server import ThreadedMotoServer

if TYPE_CHECKING:
    from collections.abc import Iterator

BUCKET = "shop"


@contextmanager
def object_store() -> Iterator[str]:
    """Start it on a free port with an empty bucket; the environment says how drivers reach it."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    environment = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "tester",
        "AWS_SECRET_ACCESS_KEY": "not-to-be-seen",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    try:
        with mock.patch.dict(os.environ, environment):
            files = fsspec.filesystem("s3", skip_instance_cache=True)
            files.mkdir(BUCKET)
            fsspec.get_filesystem_class("s3").clear_instance_cache()
            yield f"s3://{BUCKET}"
            fsspec.get_filesystem_class("s3").clear_instance_cache()
    finally:
        server.stop()
