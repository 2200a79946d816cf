"""Who runs this program."""

from __future__ import annotations

import os


def whoami() -> str:
    """The name of the user of this program, or his number where the host, a container say, has no name."""
    # as getpass.getuser has it, which takes longer to import than it would to run
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        if name := os.environ.get(variable):
            return name
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
