"""Rest: whether there is nothing that processes could do but wait for more input.

A process that is blocked in reading from a pipe, or in waiting for its children, goes on when these let it.
If that is so of a task and of all that came of it, and the pipe which is its standard input is empty, then
nothing will come from it before something is written to it. Linux tells in what a thread sleeps as
/proc/PID/task/TID/wchan (proc(5)), and it tells the truth even while we look: what sleeps so is woken only by
another that is seen awake, or by a timer of its own.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

_ASLEEP = {"do_wait", "pipe_read", "anon_pipe_read"}
"""The functions of the kernel in which a thread waits for a child, or reads from a pipe that is empty."""


def children(pid: int) -> set[int]:
    """The children of a process. Errors: OSError, also where the kernel does not tell."""
    return {child for thread in _threads(pid) for child in map(int, _read(f"{thread}/children").split())}


def at_rest(processes: Iterable[int]) -> bool:
    """Do these processes, and all that came of them, wait for each other or for input? False if not known."""
    try:
        seen = _resting(processes)
        return seen is not None and seen == _resting(processes)  # none was made while we looked
    except OSError:
        return False


def _resting(processes: Iterable[int]) -> set[int] | None:
    """These processes and what came of them; None if one of them is awake. Errors: OSError."""
    seen: set[int] = set()
    todo = list(processes)
    while todo:
        pid = todo.pop()
        seen.add(pid)
        todo += children(pid)
        if _read(f"/proc/{pid}/timers") or any(_read(f"{t}/wchan") not in _ASLEEP for t in _threads(pid)):
            return None
    return seen


def _threads(pid: int) -> list[str]:
    place = f"/proc/{pid}/task"
    return [f"{place}/{thread}" for thread in os.listdir(place)]


def _read(path: str) -> str:
    with open(path) as file:
        return file.read()
