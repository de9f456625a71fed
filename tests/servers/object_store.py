"""Servers that speak the protocols of S3 and OSS, over the library moto: stand-ins, not real object stores.

OSS answers much as S3 does; what its client reads differently is put into moto's answers.
"""

from __future__ import annotations

import logging
import os
import re
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from unittest import mock

import fsspec
import fsspec.config
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Answer = Callable[..., Any]
    Application = Callable[[dict[str, Any], Answer], Iterable[bytes]]

BUCKET = "shop"
SECRET = "not-to-be-seen"


@contextmanager
def object_store() -> Iterator[str]:
    """Start both on free ports, over one empty bucket; drivers find them by environment and settings."""
    application: Application = DomainDispatcherApplication(create_backend_app)
    with serving(application) as s3_endpoint, serving(OssDialect(application)) as oss_endpoint:
        environment = {
            "AWS_ENDPOINT_URL": s3_endpoint,
            "AWS_ACCESS_KEY_ID": "tester",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        oss = {"endpoint": oss_endpoint, "key": "tester", "secret": SECRET}
        with mock.patch.dict(os.environ, environment), mock.patch.dict(fsspec.config.conf, {"oss": oss}):
            files = fsspec.filesystem("s3", skip_instance_cache=True)
            if files.exists(BUCKET):  # moto keeps what it has as long as the process
                files.rm(BUCKET, recursive=True)
            files.mkdir(BUCKET)
            forget_drivers()
            yield f"s3://{BUCKET}"
            forget_drivers()


def forget_drivers() -> None:
    """Let the next URL make its driver anew, as the environment says then."""
    for scheme in ("s3", "oss"):
        fsspec.get_filesystem_class(scheme).clear_instance_cache()


@contextmanager
def serving(application: Application) -> Iterator[str]:
    """Answer on a free port, in threads."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", 0, application, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class OssDialect:
    """Answers of S3 as an OSS client reads them."""

    def __init__(self, application: Application) -> None:
        self._application = application

    def __call__(self, environ: dict[str, Any], answer: Answer) -> list[bytes]:
        answered: dict[str, Any] = {}

        def hold(status: str, headers: list[tuple[str, str]], *_: Any) -> None:
            answered.update(status=status, headers=dict(headers))

        body = b"".join(self._application(environ, hold))
        if body.startswith(b"<"):
            body = re.sub(rb' xmlns="[^"]*"', b"", body).replace(b"</Size>", b"</Size><Type>Normal</Type>")
            if b"<IsTruncated>" not in body:
                ends = b"<IsTruncated>false</IsTruncated></ListBucketResult>"
                body = body.replace(b"</ListBucketResult>", ends)
        if environ["REQUEST_METHOD"] != "HEAD":
            answered["headers"]["Content-Length"] = str(len(body))
        answer(answered["status"], list(answered["headers"].items()))
        return [body]
