"""Starting a program of the host at somebody's request, in a directory and an environment that were told.

This is for devices that run programs (`#C`, taskfs); how a shell runs them is told in `nsh.dev.spawn`. Where
one may have to wait for the program or its directory, a thread starts it (`nsh.dev.patience`).
"""

from __future__ import annotations

import asyncio
import errno
import os
import signal
from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

from nsh.dev import libc
from nsh.dev.host import HostDevice
from nsh.dev.patience import Place, in_background
from nsh.kern import noteg
from nsh.kern.proc import System

RESET = (signal.SIGPIPE, signal.SIGXFSZ)
"""Signals that Python ignores, and programs do not expect to be ignored."""

MOMENT = 0.05
"""Seconds for which it is not asked again whether one may have to wait for a program."""


class Launch(NamedTuple):
    """What to run, where, with which environment, and what are the first three descriptors of the program."""

    argv: Sequence[str]
    directory: str
    environ: Mapping[str, str]
    fds: Sequence[int]

    def programs(self) -> list[str]:
        """The names that the program may have, as execvp(3) tries them."""
        if "/" in self.argv[0]:
            return [self.argv[0]]
        return [os.path.join(directory, self.argv[0]) for directory in os.get_exec_path(self.environ)]


class Pipes:
    """Pipes for the standard input, output and error of a program: its ends, and ours. Errors: OSError."""

    def __init__(self) -> None:
        self.theirs: list[int] = []
        self.ours: list[int] = []
        try:
            for number in range(3):
                reading, writing = os.pipe()
                self.theirs.append(writing if number else reading)
                self.ours.append(reading if number else writing)
        except OSError:
            self.close_theirs()
            self.close_ours()
            raise

    def close_theirs(self) -> None:
        """The program has its ends, or there will be none."""
        for fd in self.theirs:
            os.close(fd)

    def close_ours(self) -> None:
        """There is no program."""
        for fd in self.ours:
            os.close(fd)


def waits(system: System, start: Launch) -> Place | None:
    """Where one may have to wait for the start of a program, if anywhere."""
    host = HostDevice.of(system)
    if not host.has_places():
        return None
    place = host.place
    found = place(start.directory)
    for name in start.programs():
        if found is not None:
            break
        path = os.path.join(start.directory, name)
        found = place(path)
        if found is None and os.access(path, os.X_OK, effective_ids=True) and not os.path.isdir(path):
            break  # it is this one that will run
    return found


class Foresight:
    """`waits`, for who starts many programs at a time: what was found holds for a `MOMENT`."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._known: dict[tuple[str, str, bytes], bool] = {}

    def waits(self, program: str, directory: str, path: bytes) -> bool:
        """May one have to wait for the start of ``program``? ``path``: PATH, by which it is looked for."""
        key = program, directory, path
        if key not in self._known:
            if not self._known:
                asyncio.get_running_loop().call_later(MOMENT, self._known.clear)
            start = Launch([program], directory, {"PATH": os.fsdecode(path)} if path else {}, ())
            self._known[key] = waits(self._system, start) is not None
        return self._known[key]


def launch(start: Launch) -> int:
    """Start a program in a process group of its own; returns the process id.

    Errors: OSError, with the directory as its file name if that is at fault; ValueError: a NUL in a word.
    """
    import subprocess

    stdin, stdout, stderr = start.fds
    argv, directory, environ, _ = start
    # vfork underneath: no copy of this process is made, and the answer is there when the program has begun
    with noteg.starting():
        process = subprocess.Popen(
            argv, cwd=directory, env=environ, process_group=0, stdin=stdin, stdout=stdout, stderr=stderr
        )
    process.returncode = 0  # others wait for the program
    return process.pid


def launch_patiently(start: Launch) -> int:
    """The same, for a thread that may wait."""
    argv, directory, environ, fds = start
    if any("\0" in word for word in (*argv, directory, *environ, *environ.values())):
        raise ValueError("embedded null byte")
    stand = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    spawn = partial(
        libc.spawn,
        argv=[os.fsencode(word) for word in argv],
        environ={os.fsencode(name): os.fsencode(value) for name, value in environ.items()},
        directory=stand,
        descriptors=[(fd, number) for number, fd in enumerate(fds)],
        closed=(),
        group=0,
        default=RESET,
        blocked=(),
    )
    why: OSError | None = None
    try:
        for name in start.programs():
            try:
                return spawn(name)
            except OSError as e:
                if e.errno not in (errno.ENOENT, errno.ENOTDIR, errno.EACCES):
                    raise
                if why is None or e.errno == errno.EACCES:
                    why = e
        raise why or FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    finally:
        os.close(stand)


def unwanted(place: Place, pid: int) -> None:
    """Nobody waits any more for this program, which has just begun."""
    os.kill(pid, signal.SIGKILL)
    in_background(place, partial(os.waitpid, pid, 0))
