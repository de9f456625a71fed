"""Commands that prepare an instance: pip, git. One that is given up ends, with all that it has started."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

#: A command is given up after so long.
LONGEST_SECONDS = 1800.0
#: How often whoever waits looks whether it is to wait on.
LOOK_SECONDS = 0.1


class GivenUpError(Exception):
    """It took too long, or nobody wants it any more."""


def run(
    command: Sequence[str],
    *,
    given_up: Callable[[], bool],
    environment: Mapping[str, str] | None = None,
    inherits: Sequence[int] = (),
) -> tuple[int, list[str]]:
    """The exit code, and what it wrote, without the secrets of URLs; `inherits` are descriptors to keep."""
    began = time.monotonic()
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        env=environment,
        pass_fds=inherits,
        text=True,
        errors="replace",
    ) as process:
        while True:
            try:
                output, _ = process.communicate(timeout=LOOK_SECONDS)
                break
            except subprocess.TimeoutExpired:
                late = time.monotonic() - began > LONGEST_SECONDS
                if late or given_up():
                    os.killpg(process.pid, signal.SIGKILL)
                    name = os.path.basename(command[0])
                    why = f"{name} has not ended after {LONGEST_SECONDS:g} s" if late else "given up"
                    raise GivenUpError(why) from None
    lines = [re.sub(r"//[^/@\s]+@", "//…@", line) for line in output.splitlines() if line.strip()]
    return process.returncode, lines
