"""Programs run as an ordinary user, also by tests that the superuser runs.

The machine's /dev/fuse may be the superuser's alone; most systems give it to everybody. So the ordinary user
gets one in a mount name space of its own, and the machine is left as it is.
"""

from __future__ import annotations

import functools
import os
import pathlib
import subprocess
import sys

TOP = pathlib.Path(__file__).parents[1]

_DEVICE = """
d=$(mktemp -d) && mount -t tmpfs none "$d" && mknod -m 666 "$d/fuse" c 10 229 &&
mount --bind "$d/fuse" /dev/fuse && umount -l "$d" && rmdir "$d" &&
exec setpriv --reuid=1000 --regid=1000 --clear-groups "$@"
"""


def ordinary(*argv: str) -> list[str]:
    """The command that runs ``argv`` as an ordinary user."""
    if os.geteuid() != 0:
        return list(argv)
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", _DEVICE, "sh", *argv]


def environment() -> dict[str, str]:
    """The environment in which `python` finds nsh and what it needs; it does not name the superuser."""
    kept = {name: value for name, value in os.environ.items() if name not in ("LOGNAME", "USER")}
    packages = [path for path in sys.path if path.endswith("site-packages")]
    return {**kept, "PYTHONPATH": os.pathsep.join([str(TOP), *packages]), "HOME": "/nonexistent"}


@functools.cache
def python() -> str:
    """A Python in which an ordinary user can run nsh; '' if there is none."""
    for candidate in (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"):
        starts_itself = "import lark, nsh, os, sys; os.execv(sys.executable, [sys.executable, '-c', ''])"
        argv = ordinary(candidate, "-c", starts_itself)
        try:
            done = subprocess.run(argv, env=environment(), cwd="/", capture_output=True)
        except OSError:
            continue
        if done.returncode == 0:
            return candidate
    return ""
