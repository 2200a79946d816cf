"""A real server to be hard on: an nsh of its own that exports a few files, and what can be seen of it.

It serves a memfs with a file, a directory, a pipe (reads that wait) and a mntgen (names that spring up).
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from nsh.p9.const import IOHDRSZ
from tests.bench.peers.program import free_address

PATIENCE = 30.0
"""Seconds that the server may take to start, or a state to come about."""
SCRIPT = """
memfs /n/mem
mkdir /n/mem/pipe /n/mem/gen /n/mem/d
echo hello > /n/mem/file
bind '#|' /n/mem/pipe
bind '#m' /n/mem/gen
styxlisten -As tcp!WHERE export /n/mem
"""
PAGE = resource.getpagesize()
MSIZE = 65536 + IOHDRSZ


class Served:
    """The server, in ``with``."""

    def __init__(self, script: str = SCRIPT, host: str = "127.0.0.1", prefix: Sequence[str] = ()) -> None:
        """``host``: where to listen; ``prefix``: the command that runs the server's (nsenter)."""
        port = free_address().rpartition(":")[2]
        self.address = (host, int(port))
        self._prefix = prefix
        self._script = script.replace("WHERE", f"{host}!{port}")
        self._log = tempfile.NamedTemporaryFile(prefix="nsh-fuzz-", suffix=".log")
        self._program: subprocess.Popen[bytes]

    def __enter__(self) -> Served:
        argv = [*self._prefix, sys.executable, "-P", "-m", "nsh", "-c", self._script]
        self._program = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stderr=self._log, start_new_session=True
        )
        self._wait_for_it()
        return self

    def _wait_for_it(self) -> None:
        """Nobody connects only to try: that would be a descriptor more for a moment."""
        want = f"{self.address[1]:04X} 00000000:0000 0A"
        end = time.monotonic() + PATIENCE
        while want not in Path(f"/proc/{self._program.pid}/net/tcp").read_text():
            if time.monotonic() > end or self._program.poll() is not None:
                said = self.log()
                self.__exit__()
                raise RuntimeError(f"the server does not start: {said}")
            time.sleep(0.02)

    def __exit__(self, *_: object) -> None:
        if self._program.poll() is None:
            os.killpg(self._program.pid, signal.SIGKILL)
        self._program.wait()
        self._log.close()

    @property
    def alive(self) -> bool:
        return self._program.poll() is None

    def memory(self) -> int:
        """Bytes that are resident."""
        return int(Path(f"/proc/{self._program.pid}/statm").read_text().split()[1]) * PAGE

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self._program.pid}/fd"))

    def settled(self, descriptors: int) -> bool:
        """Wait until no more than so many are open; False if that does not come about."""
        end = time.monotonic() + PATIENCE
        while self.alive and self.descriptors() > descriptors:
            if time.monotonic() > end:
                return False
            time.sleep(0.01)
        return self.alive

    def log(self) -> list[str]:
        """What the server has said, by lines."""
        return Path(self._log.name).read_text(errors="replace").splitlines()


def descriptors_for(count: int) -> int:
    """Allow this process, and what it starts, ``count`` descriptors; returns how many there may be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < count:
        soft = count if hard == resource.RLIM_INFINITY else min(count, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return count if soft == resource.RLIM_INFINITY else soft
