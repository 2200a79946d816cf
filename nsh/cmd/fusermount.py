"""fusermount: end what 9pfuse has mounted, and its connection with it."""

import os

from nsh.cmd.arg import Usage, parse
from nsh.dev import spawn
from nsh.dev.host import ask, host_path
from nsh.dev.mnt import MntDevice
from nsh.errors import P9Error
from nsh.kern.namec import Access, namec
from nsh.kern.proc import Proc
from nsh.net.fuse.mount import find_helper, is_fuse

USAGE = "-u mountpoint"


async def main(p: Proc, argv: list[str]) -> str:
    options = parse(argv, "u", USAGE)
    if len(options.args) != 1 or "u" not in options:
        raise Usage(USAGE)
    name = options.args[0]
    path = await _linux_mount(p, name)
    if path:
        return await _unmount_for_linux(p, name, path)
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


async def _linux_mount(p: Proc, name: str) -> str:
    """The host's name of ``name``, if that is a mount of Linux and nothing of ours is mounted there; else ''.

    It is not looked at itself, for its server may not answer any more.
    """
    above, slash, last = name.rstrip("/").rpartition("/")
    if last in ("", ".", ".."):
        path = host_path(p.dot) if name == "." else None
    else:
        directory = await namec(p, above or slash or ".", Access.TODIR)
        path = await ask(directory, lambda path: os.path.join(os.path.realpath(path), last))
    if path is None or any(host_path(head.covered) == path for head, _ in p.pgrp.mounts()):
        return ""
    return path if is_fuse(path) else ""


async def _unmount_for_linux(p: Proc, name: str, path: str) -> str:
    """End a mount of the host (``9pfuse -f``), by its own program. Errors: `P9Error` where there is none."""
    program = find_helper()
    if program is None:
        raise P9Error(f"{name}: there is no program to unmount it")
    argv = ["fusermount", "-u", "--", path]
    return await spawn.run_as(p, spawn.Start(program, argv, spawn.host_environment(p.egrp)[0], "/"))
