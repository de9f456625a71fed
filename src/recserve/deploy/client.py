"""A client of a control plane: what the command line and the SDK talk through."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import urllib3

from recserve.config.environment import process_environ
from recserve.errors import RecserveError

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Where state, token and context of a control plane are, unless one says otherwise.
HOME, DEFAULT_HOME = "RECSERVE_HOME", "~/.recserve"


class ControlError(RecserveError):
    """A control plane refused something, or cannot be reached."""

    def __init__(self, message: str, status: int = 0, code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class ControlClient:
    """Asks one control plane; every method returns what the API answers."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url.rstrip("/")
        self._token = token
        self._pool = urllib3.PoolManager(timeout=urllib3.Timeout(connect=3, read=60), retries=False)

    @classmethod
    def found(cls, url: str = "", token: str = "") -> ControlClient:
        """The one that is given, or that of RECSERVE_ENDPOINT, or the one that runs on this machine."""
        environ = process_environ()
        url = url or environ.get("RECSERVE_ENDPOINT", "")
        token = token or environ.get("RECSERVE_TOKEN", "")
        folder = home()
        if not url:
            try:
                url = json.loads((folder / "context.json").read_text())["url"]
            except (OSError, ValueError, KeyError):
                raise ControlError(
                    f"no control plane is known ({folder} has none); start one with `recserve up`, or name it"
                    " with -e or RECSERVE_ENDPOINT"
                ) from None
        if not token:
            try:
                token = (folder / "token").read_text().strip()
            except OSError:
                raise ControlError(
                    f"the token of {url} is not known; set RECSERVE_TOKEN to what its folder's `token` holds"
                ) from None
        return cls(url, token)

    def ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, **query: Any
    ) -> dict[str, Any]:
        """One request; ControlError with the control plane's own words if it refuses."""
        url = f"{self.url}{path}" + (f"?{urlencode(query)}" if query else "")
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        content = None if body is None else json.dumps(body).encode()
        try:
            answer = self._pool.request(method, url, body=content, headers=headers)
        except urllib3.exceptions.HTTPError as error:
            raise ControlError(
                f"the control plane at {self.url} cannot be reached: {error}; is `recserve up` running?"
            ) from error
        try:
            values = json.loads(answer.data)
        except ValueError:
            values = {"Message": answer.data[:200].decode(errors="replace")}
        if answer.status >= 400:
            raise ControlError(str(values.get("Message", "")), answer.status, str(values.get("Code", "")))
        result: dict[str, Any] = values
        return result

    def create(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Begin a service."""
        return self.ask("POST", "/api/v2/services", document)

    def services(self, containing: str = "") -> list[dict[str, Any]]:
        """All, or those whose name contains something."""
        found: list[dict[str, Any]] = self.ask("GET", "/api/v2/services", Filter=containing)["Services"]
        return found

    def service(self, name: str) -> dict[str, Any]:
        """One."""
        return self.ask("GET", self._path(name))

    def modify(self, name: str, change: Mapping[str, Any]) -> dict[str, Any]:
        """Lay a change over its document."""
        return self.ask("PUT", self._path(name), change)

    def delete(self, name: str) -> dict[str, Any]:
        """End it."""
        return self.ask("DELETE", self._path(name))

    def put(self, name: str, what: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """`start`, `stop`, `release`, `version`, `lock`, `rollout`, …"""
        return self.ask("PUT", f"{self._path(name)}/{what}", body or {})

    def get(self, name: str, what: str, **query: Any) -> dict[str, Any]:
        """`instances`, `events`, `logs`, `versions`, …"""
        return self.ask("GET", f"{self._path(name)}/{what}", **query)

    def _path(self, name: str) -> str:
        return f"/api/v2/services/local/{quote(name, safe='')}"


def home() -> Path:
    """The folder of a control plane on this machine."""
    return Path(process_environ().get(HOME) or DEFAULT_HOME).expanduser()
