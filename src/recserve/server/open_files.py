"""How many connections a process may hold: each is an open file to the system."""

from __future__ import annotations

import logging
import sys

logger = logging.getLogger("recserve.server")


def allow_open_files() -> None:
    """Take as many open files as the system lets us have without asking.

    Shells and supervisors give 1,024, for programs that still use `select`. Thousands of idle connections are
    usual here, and one too many would not be accepted: its client would wait for nothing.
    """
    if sys.platform == "win32":
        return
    import resource

    given, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if given == most:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    except (OSError, ValueError) as error:  # macOS promises more than it gives
        logger.warning(f"no more than {given} open files, so as many connections: {error}")
