from __future__ import annotations

import fcntl
import platform
import subprocess
import sys
from typing import TYPE_CHECKING

from recserve.deploy.backends.processes import identity

if TYPE_CHECKING:
    from pathlib import Path

#: Its first thread ends at once, which makes it a zombie in /proc; the second holds the lock a while longer.
HALF_ENDED = """
import ctypes, fcntl, os, sys, threading, time
held = open(sys.argv[1], "w")
fcntl.flock(held, fcntl.LOCK_EX)
def linger():
    time.sleep(1)
    os._exit(0)
threading.Thread(target=linger).start()
print("held", flush=True)
ctypes.CDLL(None).syscall(int(sys.argv[2]), 0)
"""


def test_a_process_is_waited_for_until_its_last_thread_lets_go(tmp_path: Path) -> None:
    exit_of_one_thread = {"x86_64": 60, "aarch64": 93}[platform.machine()]
    lock = tmp_path / "lock"
    command = [sys.executable, "-c", HALF_ENDED, str(lock), str(exit_of_one_thread)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        began = identity(process.pid)
        assert began is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        while began.alive:
            pass

        assert not began.wait(0.01)
        assert began.wait(30)
        with lock.open() as held:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
