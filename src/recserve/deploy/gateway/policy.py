"""What a document asks of the gateway: limits, and the path that an app of the user's own is asked at.

| key                                            | meaning                                                  |
|------------------------------------------------|----------------------------------------------------------|
| networking.gateway_policy.rate_limit           | {enable, limit}: requests per second of the service; 429 |
| networking.gateway_policy.concurrency_limit    | {enable, limit}: requests at once of the service; 429    |
| metadata.rpc.proxy_path ("/")                  | takes the place of /api/predict/<service>, of containers |

Ours: a scorer is always asked at /api/predict/…, which its clients sign.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recserve.config import forms
from recserve.deploy.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST = 1_000_000
_PATH = re.compile(r"/[A-Za-z0-9._~/-]{0,255}")


@dataclass(frozen=True, slots=True)
class Policy:
    """What the gateway does for one service."""

    rate: int = 0  # requests per second; 0 is no limit
    concurrency: int = 0  # requests at once; 0 is no limit
    prefix: str = ""  # what stands for /api/predict/<service>/; "" leaves the path as it is

    @property
    def container(self) -> bool:
        """Whether it is an app of the user's own, which checks no token."""
        return bool(self.prefix)


def policy(document: Mapping[str, Any]) -> Policy:
    """Of a document; RefusedError if it cannot be followed."""
    networking = forms.section(document, "networking")
    limits = forms.section(networking, "gateway_policy", "networking.")
    return Policy(
        rate=_limit(limits, "rate_limit"),
        concurrency=_limit(limits, "concurrency_limit"),
        prefix=_prefix(document) if "containers" in document else "",
    )


def _limit(limits: Mapping[str, Any], name: str) -> int:
    where = "networking.gateway_policy."
    values = forms.section(limits, name, where)
    if not values.get("enable", False):
        return 0
    limit = values.get("limit")
    if not isinstance(limit, int) or isinstance(limit, bool) or not 1 <= limit <= MOST:
        raise RefusedError([f"{where}{name}.limit is {limit!r}; a whole number from 1 to {MOST} is expected"])
    return limit


def _prefix(document: Mapping[str, Any]) -> str:
    metadata = forms.section(document, "metadata")
    path = forms.section(metadata, "rpc", "metadata.").get("proxy_path", "/")
    if not isinstance(path, str) or not _PATH.fullmatch(path) or "//" in path:
        raise RefusedError([f"metadata.rpc.proxy_path is {path!r}; a path such as / or /v1 is expected"])
    return path.rstrip("/") + "/"
