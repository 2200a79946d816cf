"""mntgen: serve a directory in which every name is there, to mount something on."""

from __future__ import annotations

from nsh.cmd.arg import Usage
from nsh.cmd.export import serve
from nsh.kern.chan import settle
from nsh.kern.proc import Proc


async def main(p: Proc, argv: list[str]) -> str:
    if argv[1:]:
        raise Usage("")
    await serve(p, await settle(p.system.device("m").attach("")))
    return ""
