"""Names that Kubernetes takes, made of ours, which may be longer and have underscores.

| ours                     | theirs                             |
|--------------------------|------------------------------------|
| tiny                     | tiny                               |
| alirec_rank_with_fg      | alirec-rank-with-fg-5d0b1c         |
| 3d                       | s-3d-…: a Service begins with a letter |

Whatever had to be changed gets a hash of the original, so that `a_b` and `a-b` are two.
"""

from __future__ import annotations

import hashlib
import re

#: What we write on objects; the exact id is an annotation, since a label has no room for it.
PLANE, SERVICE, VERSION, INSTANCE = (
    "recserve/plane",
    "recserve/service",
    "recserve/version",
    "recserve/instance",
)
POOL = "recserve/pool"
MANAGED_BY = {"app.kubernetes.io/managed-by": "recserve"}

_PLAIN = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
_LONGEST = 63
_HASH = 6


def kubernetes_name(name: str, suffix: str = "") -> str:
    """A DNS label (RFC 1035) of its own for each name; `suffix` is kept as it stands."""
    room = _LONGEST - len(suffix)
    if _PLAIN.fullmatch(name) and len(name) <= room:
        return name + suffix
    mark = hashlib.sha256(name.encode()).hexdigest()[:_HASH]
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    if not plain[:1].isalpha():
        plain = f"s-{plain}".rstrip("-")
    return f"{plain[: room - _HASH - 1].rstrip('-')}-{mark}{suffix}"
