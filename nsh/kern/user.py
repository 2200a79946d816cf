"""Who runs this program."""

from __future__ import annotations

import os


def whoami() -> str:
    """The name of the user of this program, or his number where the host, a container say, has no name."""
    name = os.environ.get("LOGNAME")
    if name:
        return name
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
