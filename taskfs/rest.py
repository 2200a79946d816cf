"""Rest: whether there is nothing that processes could do but wait for more input.

A process that is blocked in reading from a pipe, or in waiting for its children, goes on when these let it.
If that is so of a task and of all that came of it, and the pipe which is its standard input is empty, then
nothing will come from it before something is written to it: other pipes have nobody else at their other end.
Linux tells in what a thread sleeps as /proc/PID/task/TID/wchan (proc(5)), and it tells the truth even while
we look: what sleeps so is woken only by another that is seen awake.

Who could be woken by something else counts as awake: by a timer, by a signal that programs use for that, or
by somebody elsewhere who has the same named pipe.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable

_READING = {"pipe_read", "anon_pipe_read"}
"""The functions of the kernel in which a thread waits for bytes from a pipe."""
_WAITING = "do_wait"
"""That in which it waits for a child."""
_CALLS = {signal.SIGALRM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGIO}
"""Who has a function for one of these signals may be called by it."""
_ENDINGS = {signal.SIGPROF, signal.SIGVTALRM}
"""Who has one for these as well has it for all signals that would end him, to tidy up."""


def children(pid: int) -> set[int]:
    """The children of a process. Errors: OSError, also where the kernel does not tell."""
    return {child for thread in _threads(pid) for child in map(int, _read(f"{thread}/children").split())}


def at_rest(processes: Iterable[int]) -> bool:
    """Do these processes, and all that came of them, wait for each other or for input? False if not known."""
    roots = list(processes)
    try:
        seen = _resting(roots)
        return seen is not None and seen == _resting(roots)  # none was made while we looked
    except (OSError, LookupError):  # it has ended, or gone on
        return False


def _resting(processes: Iterable[int]) -> set[int] | None:
    """These processes and what came of them; None if one of them is awake. Errors: OSError."""
    seen: set[int] = set()
    todo = list(processes)
    while todo:
        pid = todo.pop()
        seen.add(pid)
        todo += children(pid)
        if not all(_sleeps(pid, thread) for thread in _threads(pid)) or _may_be_called(pid):
            return None
    return seen


def _sleeps(pid: int, thread: str) -> bool:
    """Does a thread wait for a child, or for bytes from a pipe that has no name?

    Which file it reads is the first argument of its system call. That file is not looked at more closely than
    Linux does by itself: it may be one of ours, and we would wait for ourselves.
    """
    where = _read(f"{thread}/wchan")
    if where not in _READING:
        return where == _WAITING
    fd = int(_read(f"{thread}/syscall").split()[1], 16)
    return os.readlink(f"/proc/{pid}/fd/{fd}").startswith("pipe:")


def _may_be_called(pid: int) -> bool:
    """Has it a timer, or a function for a signal that somebody may send?"""
    line = next(line for line in _read(f"/proc/{pid}/status").split("\n") if line.startswith("SigCgt:"))
    mask = int(line.split()[1], 16)
    caught = {number for number in _CALLS | _ENDINGS if mask >> (number - 1) & 1}
    return bool(caught and not caught >= _ENDINGS) or bool(_read(f"/proc/{pid}/timers"))


def _threads(pid: int) -> list[str]:
    place = f"/proc/{pid}/task"
    return [f"{place}/{thread}" for thread in os.listdir(place)]


def _read(path: str) -> str:
    with open(path) as file:
        return file.read()
