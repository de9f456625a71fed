"""HAProxy's configuration: everything that never changes while it runs. The rest is told (changes.py).

A request's way: its name is the word after /api/predict/; the name's route is one entry of a map; then come
the token (of apps), the limits, the copy for a mirror, the path (of apps), and the slot that answers.

Ours: a request that arrived on no instance at all is sent to another one, whatever its size; one whose
instance ended before it answered a byte is so too if it fits into `BUFFER_BYTES`, head included. So an app
may be asked twice for one request when its instance is killed.
Source: HAProxy's Configuration Manual 2.8.
"""

from __future__ import annotations

import resource
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING

from recserve.cores import cores
from recserve.deploy.gateway.changes import COMPLETE, NO_SLOT, slot
from recserve.deploy.gateway.runtime import ROUTES, SOCKET

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The largest request, head and body, that can be sent again to another instance: six times a usual one.
BUFFER_BYTES = 256 * 2**10
#: Services and groups. A thousand empty backends cost 7 MB; more than that are not routed.
SLOTS = 1024
#: The backend of the discovery paths, and its one server.
CONTROL = "control"

MAIN, LUA = "haproxy.cfg", "gateway.lua"
_MIRROR_SOCKET = "mirror.sock"
CERTIFICATE = "tls.pem"  # its key lies beside it as tls.pem.key
_MOST_CONNECTIONS = 20_000
_MOST_THREADS = 4


@dataclass(frozen=True, slots=True)
class Settings:
    """How the gateway is started."""

    control: str  # host:port of the control plane, for discovery
    tls: bool = False
    slots: int = SLOTS


def configuration(settings: Settings, listener: int) -> dict[str, str]:
    """Files by name; `listener` is the descriptor of a socket that listens already."""
    values = {
        "socket": SOCKET,
        "threads": max(1, min(_MOST_THREADS, cores())),
        "connections": _connections(),
        "buffer": BUFFER_BYTES,
        "tls": f" ssl crt {CERTIFICATE} alpn h2,http/1.1" if settings.tls else "",
        "listener": listener,
        "lua": LUA,
        "mirror_socket": _MIRROR_SOCKET,
        "routes": ROUTES,
        "complete": COMPLETE,
        "none": NO_SLOT,
        "control": CONTROL,
        "address": settings.control,
        "proofs": _proofs(),
    }
    slots = "".join(f"\nbackend {slot(number)}" for number in range(settings.slots)) + "\n"
    return {MAIN: _filled(MAIN, values) + slots, LUA: _filled(LUA, values), ROUTES: ""}


def _proofs() -> str:
    """What Authorization may be: one of two tokens, or what it signs in one of four forms."""
    lines = []
    for key, condition in ((1, "is_guarded"), (2, "has_another")):
        token = f"token_{key}"
        lines.append(f"http-request set-var(txn.{token}) var(txn.key_{key}),b64dec if {condition}")
        lines.append(f"acl is_proven var(txn.given),secure_memcmp(txn.{token})")
        for form in (1, 2, 3, 4):
            proof, signed = f"proof_{key}_{form}", f"var(txn.signed_{form}),hmac(sha1,txn.key_{key}),base64"
            lines.append(f'http-request set-var-fmt(txn.{proof}) "EAS %[{signed}]" if {condition}')
            lines.append(f"acl is_proven var(txn.given),secure_memcmp(txn.{proof})")
    return "".join(f"    {line}\n" for line in lines).rstrip("\n")


def _filled(name: str, values: Mapping[str, object]) -> str:
    """A file that lies beside this one, with the values in its <…>."""
    text = files(__package__).joinpath(name).read_text()
    for word, value in values.items():
        text = text.replace(f"<{word}>", str(value))
    return text


def _connections() -> int:
    """Two descriptors for each: a client's and an instance's."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most == resource.RLIM_INFINITY:
        return _MOST_CONNECTIONS
    return max(100, min(_MOST_CONNECTIONS, (most - 200) // 2))
