"""A server may hold as many connections as the system allows, whatever its shell gave."""

from __future__ import annotations

import resource
import subprocess
import sys


def test_it_takes_what_it_may_have() -> None:
    ask = (
        "import resource; from recserve.server.open_files import allow_open_files; allow_open_files();"
        "print(*resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)

    limits = subprocess.run(
        ["bash", "-c", f'ulimit -S -n 64; exec "{sys.executable}" -c "{ask}"'],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    ).stdout.split()

    assert limits == [str(most)] * 2
