"""memfs: mount a new, empty file system that lives in memory."""

from __future__ import annotations

from typing import cast

from nsh import errors
from nsh.cmd import complain
from nsh.cmd.arg import Usage, parse
from nsh.dev.ram import LIMIT, RamDevice
from nsh.kern.mnt import MAFTER, MBEFORE, MCREATE, MREPL
from nsh.kern.namec import Access, namec
from nsh.kern.proc import Proc

USAGE = "[-s] [-rab] [-m size] [mountpoint]"
_ORDER = {"r": MREPL, "a": MAFTER, "b": MBEFORE}


async def main(p: Proc, argv: list[str]) -> str:
    options = parse(argv, "srabm:", USAGE)
    size = options.value("m", str(LIMIT))
    if not size.isdecimal():
        raise Usage(USAGE)
    ram = cast(RamDevice, p.system.device("R"))
    tree = ram.new(int(size))
    if "s" in options:
        from nsh.cmd.export import serve

        await serve(p, ram.chan(tree, ram.rootpath()))
        return ""
    order = next((_ORDER[letter] for letter, _ in reversed(options.letters) if letter in _ORDER), MREPL)
    mountpoint = options.args[0] if options.args else "/tmp"
    try:
        if p.pgrp.nodevs:
            raise errors.Enoattach()
        target = await namec(p, mountpoint, Access.MOUNT)
        p.pgrp.mount(ram.served(tree), target, order | MCREATE)
    except OSError as e:
        await complain(p, f"memfs: failed to mount onto {mountpoint}: {e}")
        return "error"
    return ""
