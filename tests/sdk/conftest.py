"""A session of a test's own: its control plane begins with the first service, and ends with the module."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from recserve.sdk.session import Session

if TYPE_CHECKING:
    from collections.abc import Iterator

#: A web app without any library, so that it begins at once: it says what it was given.
ECHO = """
import http.server, json, os, pathlib, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if body == b'"fail"':
            self.send_error(500, "as it was told")
            return
        model = pathlib.Path(os.environ.get("MODEL", "/eas/workspace/model/")) / "weights.txt"
        answer = {
            "path": self.path,
            "said": json.loads(body or b"null"),
            "model": model.read_text() if model.exists() else None,
            "word": os.environ.get("WORD"),
            "instance": os.environ["RECSERVE_INSTANCE"],
            "pid": os.getpid(),
        }
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())
    do_GET = do_POST
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["LISTENING_PORT"])), Handler).serve_forever()
"""


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    made = Session(home_folder=tmp_path_factory.mktemp("home"), endpoint="local")
    yield made
    made.shutdown()


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A source directory."""
    folder = tmp_path_factory.mktemp("src")
    (folder / "app.py").write_text(ECHO)
    return str(folder)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model directory."""
    folder = tmp_path_factory.mktemp("model")
    (folder / "weights.txt").write_text("0.5 0.25")
    return str(folder)
