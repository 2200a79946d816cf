"""import: let a part of another machine's name space be seen in this one."""

from __future__ import annotations

from nsh.cmd import Fail
from nsh.cmd.arg import Options, Usage, parse
from nsh.cmd.bind import flags
from nsh.cmd.files import join
from nsh.cmd.mount import connect
from nsh.kern.mnt import MCREATE, MREPL
from nsh.kern.namec import Access, namec
from nsh.kern.proc import Proc
from nsh.net.address import address
from nsh.p9.const import ORDWR

USAGE = "[-a|-b] [-c] [-e enc digest] host file [localfile]"
FACTOTUM = "/mnt/factotum/rpc"


async def main(p: Proc, argv: list[str]) -> str:
    options = parse(argv, "abcAe:k:9", USAGE)
    if len(options.args) not in (2, 3):
        raise Usage(USAGE)
    host, file, *local = options.args
    if "A" not in options and address(host).net != "unix":
        await _authenticate(p)
    if "e" in options and options.value("e") != "clear":
        raise Fail("import", "factotum didn't establish shared secret")
    place = f"/n/{host.replace('/', '_')}"
    await _mount(p, host, place)
    await _bind(p, join(place, file.lstrip("/")), "".join(local) or file, options)
    return ""


async def _authenticate(p: Proc) -> None:
    """Say why that cannot be done. Raises `Fail`."""
    try:
        p.close(await p.open(FACTOTUM, ORDWR))
    except OSError as e:
        raise Fail("factotum", f"can't open {FACTOTUM}: {e}") from None
    raise Fail("auth", "can't authenticate import: p9any is not spoken here; -A imports without")


async def _mount(p: Proc, host: str, place: str) -> None:
    """Have all files of ``host`` on ``place``, where they may be already. Raises `Fail`."""
    try:
        if p.pgrp.find(await namec(p, place, Access.MOUNT)) is not None:
            return
        fd = p.fgrp.new(await connect(p, host, "styx", True))
        try:
            await p.mount(fd, place, MREPL | MCREATE)
        finally:
            p.close(fd)
    except Fail:
        raise
    except OSError as e:
        raise Fail("mount failed", f"mount failed: {e}") from None


async def _bind(p: Proc, source: str, target: str, options: Options) -> None:
    try:
        await p.bind(source, target, flags(options))
    except OSError as e:
        raise Fail("import", f"import {source} onto {target}: {e}") from None
