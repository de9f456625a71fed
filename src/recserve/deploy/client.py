"""A client of a control plane: what the command line and the SDK talk through."""

from __future__ import annotations

import contextlib
import difflib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

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
    def found(cls, url: str = "", token: str = "", *, context: Path | None = None) -> ControlClient:
        """The one that is given, or that of RECSERVE_ENDPOINT, or the one that runs on this machine.

        `context`: a folder of state, or a file of {"url": …, "token": …}; RECSERVE_HOME or ~/.recserve.
        The token of a folder goes to its own control plane, and to this machine, and nowhere else.
        """
        environ = process_environ()
        place = context or home()
        known = _context(place)
        own = known.get("url", "")
        url = url or environ.get("RECSERVE_ENDPOINT", "") or own
        if not url:
            raise ControlError(
                f"no control plane is known ({place} has none); start one with `recserve up`, or name it"
                " with -e or RECSERVE_ENDPOINT"
            )
        url = url if "://" in url else f"http://{url}"
        token = token or environ.get("RECSERVE_TOKEN", "")
        if not token and (url.rstrip("/") == own.rstrip("/") or _is_here(url)):
            token = known.get("token", "")
        if not token:
            raise ControlError(
                f"the token of {url} is not known; set RECSERVE_TOKEN to what the file `token` in its"
                " folder holds"
            )
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

    def services(self, containing: str = "", labels: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
        """All, or those whose name contains something and which have these labels."""
        query: dict[str, Any] = {"Filter": containing}
        query |= {"Label": json.dumps(labels)} if labels else {}
        found: list[dict[str, Any]] = self.ask("GET", "/api/v2/services", **query)["Services"]
        return found

    def groups(self) -> list[dict[str, Any]]:
        """Those that services share, each with its `Services`."""
        found: list[dict[str, Any]] = self.ask("GET", "/api/v2/groups")["Groups"]
        return found

    def nodes(self) -> list[dict[str, Any]]:
        """The machines that instances run on."""
        found: list[dict[str, Any]] = self.ask("GET", "/api/v2/nodes")["Nodes"]
        return found

    def service(self, name: str) -> dict[str, Any]:
        """One."""
        return self._ask_of(name, "GET")

    def modify(self, name: str, change: Mapping[str, Any], **query: Any) -> dict[str, Any]:
        """Lay a change over its document; `query` may hold `Partition`, `BatchSize`, `Interval`, `Paused`."""
        return self._ask_of(name, "PUT", body=change, **query)

    def delete(self, name: str, what: str = "", **query: Any) -> dict[str, Any]:
        """End it, or its `autoscaler`, `cronscaler`, `mirror`, `instances`."""
        return self._ask_of(name, "DELETE", what, **query)

    def put(self, name: str, what: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """`start`, `stop`, `release`, `version`, `lock`, `rollout`, …"""
        return self._ask_of(name, "PUT", what, body or {})

    def get(self, name: str, what: str, **query: Any) -> dict[str, Any]:
        """`instances`, `events`, `logs`, `versions`, …"""
        return self._ask_of(name, "GET", what, **query)

    def _ask_of(
        self, name: str, method: str, what: str = "", body: Mapping[str, Any] | None = None, **query: Any
    ) -> dict[str, Any]:
        """Of one service; if there is none of that name, the error says which one may be meant."""
        path = f"/api/v2/services/local/{quote(name, safe='')}{what and f'/{what}'}"
        try:
            return self.ask(method, path, body, **query)
        except ControlError as error:
            if error.status != 404:
                raise
            hint = self._meant(name)
            raise ControlError(f"{error}{hint}", error.status, error.code) from None

    def _meant(self, name: str) -> str:
        known = [str(one["ServiceName"]) for one in self.services()]
        alike = difflib.get_close_matches(name, known, n=1)
        if name in known or not known:
            return ""
        return f"; did you mean {alike[0]}?" if alike else f"; there are {', '.join(sorted(known)[:10])}"


def home() -> Path:
    """The folder of a control plane on this machine."""
    return Path(process_environ().get(HOME) or DEFAULT_HOME).expanduser()


def _context(place: Path) -> dict[str, str]:
    """The URL and the token that a folder, or a file, has; what it lacks is not in it."""
    folder = place.is_dir() or not place.suffix
    result: dict[str, str] = {}
    try:
        values = json.loads((place / "context.json" if folder else place).read_text())
        result = {key: values[key] for key in ("url", "token") if isinstance(values.get(key), str)}
    except FileNotFoundError:
        if not folder:
            raise ControlError(f'{place} does not exist; write {{"url": …, "token": …}} there') from None
    except (OSError, ValueError, AttributeError) as error:
        raise ControlError(f"{place} does not say where a control plane is: {error}") from None
    if folder and "token" not in result:
        with contextlib.suppress(OSError):
            result["token"] = (place / "token").read_text().strip()
    return result


def _is_here(url: str) -> bool:
    return urlsplit(url).hostname in ("localhost", "127.0.0.1", "::1")
