"""9pfuse: mount a 9P server, as plan9port's command does, but in this name space."""

from nsh.cmd.arg import Usage, parse
from nsh.errors import P9Error
from nsh.kern.mnt import MCREATE, MREPL
from nsh.kern.proc import Proc
from nsh.net.dial import address, dial

USAGE = "[-D] [-a aname] address mtpt"


async def main(p: Proc, argv: list[str]) -> str:
    options = parse(argv, "Da:", USAGE)
    if len(options.args) != 2:
        raise Usage(USAGE)
    where, mtpt = options.args
    target = address(where, service="9fs")
    try:
        conn = await dial(p.system, str(target))
    except OSError as e:
        raise P9Error(f"dial {where}: {e}") from None
    if "D" in options:
        from nsh.cmd.styxmon import watched

        conn = await watched(p, conn)
    fd = p.fgrp.new(conn)
    try:
        await p.mount(fd, mtpt, MREPL | MCREATE, options.value("a"))
    except OSError as e:
        raise P9Error(f"mount {mtpt}: {e}") from None
    finally:
        p.close(fd)
    return ""
