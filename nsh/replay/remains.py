"""What a world may leave behind, its mounts, its processes and its directory, and who removes it.

That is the replay itself, at its end. If it is killed before, a caretaker does: a process that does nothing
but wait for that. Processes are found by a text in their environment, which all of a world have.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from typing import Never

from nsh.replay.signals import held

__all__ = ["PATIENCE", "Caretaker", "remove"]

PATIENCE = 5.0
"""Seconds that a process may take to give up what it does, or to end, before harder means are used."""


class Caretaker:
    """A process that removes what there is of a world when this process has died. Errors: `OSError`.

    It is a fork that never runs another program: it has no signals to fear, and nothing to load.
    """

    def __init__(self, tag: str, directory: str) -> None:
        dies, self._lives = os.pipe()
        with held():  # and in the child they stay so
            self._pid = os.fork()
            if self._pid == 0:
                _take_care(dies, tag, directory)
        os.close(dies)

    def dismiss(self) -> None:
        """End it: there is nothing left to remove."""
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._lives)


def _take_care(dies: int, tag: str, directory: str) -> Never:
    """Wait for the end of the pipe ``dies``, which only the replay has the other end of, and remove."""
    try:
        os.setsid()
        os.chdir("/")
        os.dup2(dies, 0)
        os.closerange(1, os.sysconf("SC_OPEN_MAX"))  # nobody shall wait for the end of one of these
        os.read(0, 1)
        end = time.monotonic() + PATIENCE
        while _tagged(tag) and time.monotonic() < end:  # the shells have been told, and end in order
            time.sleep(0.05)
        remove(tag, directory)
    finally:
        os._exit(0)


def remove(tag: str, directory: str) -> None:
    """Kill every process with ``tag`` in its environment, and remove the directory with all its mounts."""
    _unmount(directory)
    end = time.monotonic() + PATIENCE
    while (pids := _tagged(tag)) and time.monotonic() < end:
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.01)
    _unmount(directory)
    if not _mounted_below(directory):  # what is mounted is not ours to remove
        _remove(directory)


def _unmount(directory: str) -> None:
    """Unmount what is below the directory, even if somebody uses it still."""
    for path in reversed(_mounted_below(directory)):
        for command in ("fusermount3", "fusermount"):
            try:
                argv = [command, "-u", "-z", "--", path]
                if subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True).returncode == 0:
                    break
            except OSError:
                continue


def _mounted_below(directory: str) -> list[str]:
    """The mount points below the directory, in the order in which they were mounted."""
    with open("/proc/self/mounts", "rb") as file:
        paths = [line.split(b" ")[1] for line in file]
    found = [os.fsdecode(re.sub(rb"\\(\d{3})", lambda m: bytes([int(m[1], 8)]), path)) for path in paths]
    return [path for path in found if path.startswith(f"{directory}/")]


def _tagged(tag: str) -> list[int]:
    found = []
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/environ", "rb") as file:
                if os.fsencode(tag) in file.read().split(b"\0"):
                    found.append(int(name))
        except OSError:  # it has gone meanwhile, or is another user's
            continue
    return found


def _remove(directory: str) -> None:
    """Remove a directory tree, also where a command has taken away the right to."""
    for path, names, _ in os.walk(directory):
        for name in (os.path.join(path, name) for name in names):
            if not os.path.islink(name):
                os.chmod(name, 0o700)
    shutil.rmtree(directory, ignore_errors=True)
