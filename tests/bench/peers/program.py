"""Servers under measurement: each a program of its own, on an address of its own, ended with its children."""

from __future__ import annotations

import glob
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import NamedTuple

PATIENCE = 60.0
"""Seconds that a server may take until somebody can connect."""


class Program(NamedTuple):
    """How to start a server, and how 9pload finds its files.

    ``name``: in the table; ``argv``: its command; ``address``: where it will listen, as 9pload has it;
    ``options``: of 9pload; ``optional``: whether it may fail; ``python``: whether ours should be faster.
    """

    name: str
    argv: Sequence[str]
    address: str
    options: Sequence[str] = ()
    environ: Mapping[str, str] = {}
    optional: bool = False
    python: bool = False


class Running:
    """Started programs, in ``with``."""

    def __init__(self, programs: Sequence[Program]) -> None:
        self._programs = programs
        self._sessions: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Running:
        try:
            for program in self._programs:
                environ = {**os.environ, **program.environ}
                errors = subprocess.DEVNULL if program.optional else None
                self._sessions.append(
                    subprocess.Popen(
                        program.argv,
                        env=environ,
                        stdin=subprocess.DEVNULL,
                        stderr=errors,
                        start_new_session=True,
                    )
                )
            for program, leader in zip(self._programs, self._sessions, strict=True):
                _wait_for(program, leader)
        except BaseException:
            self.__exit__()
            raise
        return self

    @contextmanager
    def placed(self, together: bool) -> Iterator[None]:
        """Have the programs on one processor, and what we start beside them there too, or on another.

        Left to itself the system does now this, now that, and it matters more than what the programs do:
        waking a processor that sleeps takes longer than to serve a request.
        """
        before = os.sched_getaffinity(0)
        self._move({max(before)})
        os.sched_setaffinity(0, {max(before) if together else min(before)})
        try:
            yield
        finally:
            self._move(before)
            os.sched_setaffinity(0, before)

    def _move(self, processors: set[int]) -> None:
        for leader in self._sessions:
            for pid in _members(leader.pid):
                for thread in glob.glob(f"/proc/{pid}/task/*"):
                    with suppress(ProcessLookupError):
                        os.sched_setaffinity(int(os.path.basename(thread)), processors)

    def __exit__(self, *_: object) -> None:
        for leader in self._sessions:
            for pid in _members(leader.pid):
                os.kill(pid, signal.SIGKILL)
            leader.wait()


def free_address() -> str:
    """An address where nobody listens."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{s.getsockname()[1]}"


def _wait_for(program: Program, leader: subprocess.Popen[bytes]) -> None:
    """Wait until it can be connected to. Raises RuntimeError when it has failed, or TimeoutError."""
    end = time.monotonic() + PATIENCE
    while not _connects(program.address):
        if leader.poll():  # not when it has gone into the background
            raise RuntimeError(f"{program.name} ended with status {leader.returncode}")
        if time.monotonic() > end:
            raise TimeoutError(f"{program.name} does not listen on {program.address}")
        time.sleep(0.02)


def _connects(address: str) -> bool:
    kind, _, path = address.partition(":")
    unix = kind == "unix"
    with socket.socket(socket.AF_UNIX if unix else socket.AF_INET) as s:
        try:
            s.connect(path if unix else (kind, int(path)))
        except OSError:
            return False
    return True


def _members(session: int) -> list[int]:
    """The processes of a session: also those that went into the background."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdecimal():
            with suppress(ProcessLookupError):
                if os.getsid(int(name)) == session:
                    found.append(int(name))
    return found
