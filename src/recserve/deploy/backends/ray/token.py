"""The token of a cluster: who has it runs what it likes on every node, so nobody is let in without.

Ours: token authentication is on wherever Ray knows it (2.5x and later), unless RAY_AUTH_MODE says otherwise.
Read before Ray is imported, which looks at the variable once.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from recserve.config.environment import process_environ, put

_MODE = "RAY_AUTH_MODE"
_GIVEN = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")


def use_token(*, make: bool = False, home: Path | None = None) -> Path | None:
    """Take the token of this machine; `make` one, for its owner alone, where there is none.

    The file that has it; None if a variable gives it, or nothing does, or it is not wanted.
    """
    variables = process_environ()
    if variables.get(_MODE, "token") != "token":
        return None
    path = (home or Path.home()) / ".ray" / "auth_token"
    given = any(variables.get(name) for name in _GIVEN)
    if make and not given and not path.exists():
        path.parent.mkdir(exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32))
    if given or path.exists():
        put(_MODE, "token")
    return path if path.exists() and not given else None
