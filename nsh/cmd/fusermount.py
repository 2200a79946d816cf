"""fusermount: end what 9pfuse has mounted, and its connection with it."""

from nsh.cmd.arg import Usage, parse
from nsh.dev import spawn
from nsh.dev.host import host_path
from nsh.dev.mnt import MntDevice
from nsh.errors import P9Error
from nsh.kern.chan import Chan
from nsh.kern.namec import Access, namec
from nsh.kern.proc import Proc
from nsh.net.fuse.mount import device_at, find_helper

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


async def _unmount_for_linux(p: Proc, name: str, target: Chan) -> str:
    """End a mount of the host (``9pfuse -f``), by its own program. Errors: `P9Error` where there is none."""
    path, program = host_path(target), find_helper()
    if path is None or program is None or not device_at(path):
        raise P9Error(f"{name}: not mounted")
    return await spawn.run(p, program, ["fusermount", "-u", "--", path], spawn.host_environment(p.egrp)[0])
