"""The Linux machine of a replay with ``--host``: what is in front of its $PATH, and its environment.

Commands are those of this machine, except ``9pfuse`` and ``tree``. 9pfuse is plan9port's where that is on the
PATH, told where an address of the session really is, and else ours. tree is ours: since its version 2 the
real one counts the directory that it was given too, and the recordings are older.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Mapping

from nsh.replay.shell import nsh_command

__all__ = ["environment", "find_plan9port", "plan9port"]

_PLAN9PORT = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); from nsh.replay.linux import plan9port; plan9port()"
)


def environment(directory: str, environ: Mapping[str, str]) -> dict[str, str]:
    """``environ`` as bash is to have it; ``directory`` is made, for commands that are not the machine's."""
    os.mkdir(directory)
    start = nsh_command()
    theirs = find_plan9port()
    if theirs:
        start_theirs = [sys.executable, "-P", "-c", _PLAN9PORT, start[-1], theirs]
        _script(f"{directory}/9pfuse", start_theirs)
    else:
        _script(f"{directory}/9pfuse", [*start, "9pfuse"])
    _script(f"{directory}/tree", [*start, "-c", "tree $*"])
    if not shutil.which("fusermount"):
        _script(f"{directory}/fusermount", ["fusermount3"])
    kept = {name: value for name, value in environ.items() if name not in ("BASH_ENV", "PROMPT_COMMAND")}
    return {
        **kept,
        "PATH": f"{directory}:{os.environ.get('PATH', os.defpath)}",
        "LC_ALL": "C",
        "TIME_STYLE": "long-iso",  # as ls was at the time of the recordings
        "TERM": "dumb",
        "HISTFILE": "",
    }


def find_plan9port() -> str:
    """The 9pfuse of plan9port; '' where there is none on the PATH but perhaps ours, which is a script."""
    found = shutil.which("9pfuse")
    if found is None:
        return ""
    with open(found, "rb") as file:
        return "" if file.read(2) == b"#!" else found


def _script(path: str, command: list[str]) -> None:
    """Make a program that runs ``command`` with its arguments."""
    with open(path, "x") as file:
        file.write(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
    os.chmod(path, 0o755)


def plan9port() -> None:
    """Become the 9pfuse that the arguments name, with an address as this machine really has it."""
    from nsh.net import ndb
    from nsh.net.address import address

    argv = sys.argv[1:]
    where = len(argv) - 2
    net, host, service = address(argv[where], net="tcp", service="564")
    argv[where] = ndb.lookup(os.environ["NSH_NDB"], ndb.canonical(net, host, service))
    os.execv(argv[0], argv)
