"""How many descriptors a process may have: we need many, and tasks get what we found."""

from __future__ import annotations

import resource

_FOUND = resource.getrlimit(resource.RLIMIT_NOFILE)


def more_files() -> None:
    """Let this process have as many descriptors as it is allowed at all: every task takes four."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (_FOUND[1], _FOUND[1]))


def files_before() -> int:
    """How many it could have before."""
    return _FOUND[0]
