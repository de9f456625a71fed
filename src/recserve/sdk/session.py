"""Which control plane a program deploys to, and where its models and code are put.

| control plane     | is said by                                                                     |
|-------------------|--------------------------------------------------------------------------------|
| another machine's | endpoint="http://host:port" and token, or RECSERVE_ENDPOINT and RECSERVE_TOKEN |
| this machine's    | endpoint="local", or nothing; its folder is RECSERVE_HOME, or ~/.recserve      |

Nobody has to start this machine's: the first call that needs one runs `recserve up` beside this program,
which outlives it, as its services do (`recserve down`, or Session.shutdown).
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import urllib3

from recserve.config.environment import process_environ
from recserve.deploy.aliases import Aliases
from recserve.deploy.background import end, holder
from recserve.deploy.client import ControlClient, home
from recserve.sdk.exception import PAIException
from recserve.sdk.object_store import ObjectStore

if TYPE_CHECKING:
    from collections.abc import Mapping

log = logging.getLogger("recserve.sdk")

#: Where uploads go unless a session says otherwise; <home>/store/recserve on disk.
DEFAULT_BUCKET = "recserve"
#: A control plane that does not answer by then is given up; so is one that does not end.
START_SECONDS, END_SECONDS = 60.0, 120.0


class Session:
    """One way to a control plane, and one place for uploads. Nothing is asked or started before it is needed.

    `storage_root`: a directory, or a URI (`oss://bucket`, `s3://bucket/prefix`), that the control plane sees
    under the same name, or by its alias table. `home_folder`: of this machine's control plane. `ca`: a PEM
    file with the authority of a gateway's certificate, if the system does not know it.
    """

    def __init__(
        self,
        *,
        endpoint: str | None = None,
        token: str | None = None,
        storage_root: str | Path | None = None,
        oss_bucket_name: str | None = None,
        region_id: str = "local",
        workspace_id: str | None = None,
        home_folder: str | Path | None = None,
        ca: str | Path | None = None,
    ) -> None:
        self.ca = str(ca or "")
        self.region_id = region_id
        self.workspace_id = workspace_id
        self.home = Path(home_folder or home()).expanduser().absolute()
        self._endpoint = endpoint or ""
        self._token = token or ""
        self._lock = threading.Lock()
        self._client: ControlClient | None = None
        self._started = ""
        root = str(storage_root or f"oss://{oss_bucket_name or DEFAULT_BUCKET}")
        self.aliases = Aliases(self.home)
        self.store = ObjectStore(root, self.aliases, self.home / "store")

    def __repr__(self) -> str:
        return f"Session(endpoint={self._endpoint or 'local'!r}, home={str(self.home)!r})"

    @property
    def client(self) -> ControlClient:
        """What asks the control plane; one is started on this machine if none is named and none runs."""
        with self._lock:
            if self._client is None or (self._local and self._client.url != self._url()):
                self._client = self._remote() or self._running() or self._start()
            return self._client

    def upload(self, source: str | Path, category: str = "model_data") -> str:
        """Copy a file or a directory into the store; gives its URI."""
        return self.store.put(source, category)

    def shutdown(self) -> None:
        """End the control plane that this session has started, and its services; else nothing."""
        with self._lock:
            started, self._started, self._client = self._started, "", None
        if started and started == self._url():
            end(self.home, END_SECONDS)

    @property
    def _named(self) -> str:
        return self._endpoint or process_environ().get("RECSERVE_ENDPOINT", "")

    @property
    def _local(self) -> bool:
        return self._named in ("", "local")

    def _remote(self) -> ControlClient | None:
        """That of another machine, if one is named."""
        return None if self._local else ControlClient.found(self._named, self._token)

    def _url(self) -> str:
        """Where this machine's is; nothing for what an earlier one has left, which must not see our token."""
        try:
            context = json.loads((self.home / "context.json").read_text())
            return str(context["url"]) if context["pid"] == holder(self.home) else ""
        except (OSError, ValueError, KeyError, TypeError):
            return ""

    def _running(self) -> ControlClient | None:
        """This machine's, if it answers."""
        url = self._url()
        try:
            token = (self.home / "token").read_text().strip()
            with urllib3.PoolManager(timeout=3, retries=False) as pool:
                answers = bool(url) and pool.request("GET", f"{url}/healthz").status == 200
        except (OSError, urllib3.exceptions.HTTPError):
            return None
        return ControlClient(url, token) if answers else None

    def _start(self) -> ControlClient:
        """Run `recserve up` and wait until it answers; another program's that was faster will do as well."""
        options = ["up", "--detach", "--state", str(self.home), "--port", "0"]
        command = [sys.executable, "-m", "recserve", *options]
        environ = {**process_environ(), "PYTHONPATH": os.pathsep.join(part for part in sys.path if part)}
        ended = subprocess.run(
            command, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        give_up_at = time.monotonic() + START_SECONDS
        while (client := self._running()) is None:
            if not holder(self.home) or time.monotonic() > give_up_at:
                said = ended.stderr.strip()[-500:]
                raise PAIException(f"no control plane could be started in {self.home}: {said}")
            time.sleep(0.05)
        self._started = client.url if ended.returncode == 0 else ""
        log.info("the control plane is at %s; `recserve down` ends it", client.url)
        return client


_default: list[Session] = []


def setup_default_session(
    access_key_id: str | None = None,
    access_key_secret: str | None = None,
    security_token: str | None = None,
    region_id: str | None = None,
    credential_config: Any = None,
    oss_bucket_name: str | None = None,
    oss_endpoint: str | None = None,
    workspace_id: str | None = None,
    network: Any = None,
    *,
    endpoint: str | None = None,
    token: str | None = None,
    storage_root: str | Path | None = None,
    ca: str | Path | None = None,
    **others: Any,
) -> Session:
    """Make the session that is taken where none is given. What only the hosted product knows is warned of."""
    hosted = {
        "access_key_id": access_key_id,
        "access_key_secret": access_key_secret,
        "security_token": security_token,
        "credential_config": credential_config,
        "oss_endpoint": oss_endpoint,
        "network": network,
        **others,
    }
    _warn_of(hosted)
    made = Session(
        endpoint=endpoint,
        token=token,
        storage_root=storage_root,
        ca=ca,
        oss_bucket_name=oss_bucket_name,
        region_id=region_id or "local",
        workspace_id=workspace_id,
    )
    _default[:] = [made]
    return made


def get_default_session() -> Session:
    """What setup_default_session made, or one of this machine."""
    if not _default:
        _default.append(Session())
    return _default[0]


def _warn_of(hosted: Mapping[str, Any]) -> None:
    given = sorted(name for name, value in hosted.items() if value is not None)
    if given:
        warnings.warn(
            f"no effect here, since no cloud is asked: {', '.join(given)};"
            " endpoint= and token= name a control plane",
            stacklevel=3,
        )
