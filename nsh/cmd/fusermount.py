"""fusermount: end what 9pfuse has mounted, and its connection with it."""

from nsh.cmd.arg import Usage, parse
from nsh.dev.mnt import MntDevice
from nsh.errors import P9Error
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
        raise P9Error(f"{name}: not mounted")
    for root in served:
        p.pgrp.unmount(target, root)
        if isinstance(root.dev, MntDevice):
            root.dev.hangup(root)
    return ""
