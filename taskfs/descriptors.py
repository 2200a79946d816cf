"""How many descriptors a process may have: we need many, and tasks get what we found."""

from __future__ import annotations

import contextlib
import resource

_FOUND = resource.getrlimit(resource.RLIMIT_NOFILE)


def more_files() -> None:
    """Let this process have as many descriptors as it is allowed at all: every task takes four."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (_FOUND[1], _FOUND[1]))


def give_back(pid: int) -> None:
    """Let a process that was started have as many as we had."""
    if _FOUND[0] != _FOUND[1]:
        with contextlib.suppress(PermissionError):  # a set-user-id program keeps what we have
            resource.prlimit(pid, resource.RLIMIT_NOFILE, _FOUND)
