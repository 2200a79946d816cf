"""fusermount: end what 9pfuse has mounted, and its connection with it."""

import os

from nsh.cmd.arg import Usage, parse
from nsh.dev import spawn
from nsh.dev.host import host_path
from nsh.dev.mnt import MntDevice
from nsh.errors import P9Error
from nsh.kern.chan import Chan
from nsh.kern.namec import Access, namec
from nsh.kern.proc import Proc

USAGE = "-u mountpoint"


async def main(p: Proc, argv: list[str]) -> str:
    options = parse(argv, "u", USAGE)
    if len(options.args) != 1 or "u" not in options:
        raise Usage(USAGE)
    name = options.args[0]
    target = await namec(p, name, Access.MOUNT)
    head = p.pgrp.find(target)
    served = [m.to for m in head.mounts if m.to.mchan is not None] if head is not None else []
    if not served:
        return await _unmount_for_linux(p, name, target)
    for root in served:
        p.pgrp.unmount(target, root)
        if isinstance(root.dev, MntDevice):
            root.dev.hangup(root)
    return ""


def _mounts() -> list[str]:
    """Where Linux has something mounted: proc_mounts(5), which writes blanks as octal numbers."""
    with open("/proc/self/mounts", "rb") as file:
        names = [line.split(b" ")[1].decode("unicode_escape").encode("latin-1") for line in file]
    return [os.fsdecode(name) for name in names]


async def _unmount_for_linux(p: Proc, name: str, target: Chan) -> str:
    """End a mount of the host (``9pfuse -f``), by its own program. Errors: `P9Error` where there is none."""
    import shutil

    path = host_path(target)
    program = shutil.which("fusermount3") or shutil.which("fusermount")
    if path is None or program is None or path not in _mounts():
        raise P9Error(f"{name}: not mounted")
    return await spawn.run(p, program, ["fusermount", "-u", "--", path], spawn.host_environment(p.egrp)[0])
