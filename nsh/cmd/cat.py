"""cat: write files to standard output, one after the other."""

from __future__ import annotations

from nsh.cmd import complain
from nsh.cmd.files import READSIZE
from nsh.kern.proc import Proc


async def main(p: Proc, argv: list[str]) -> str:
    for name in argv[1:] or ["-"]:
        if name == "-":
            status = await _cat(p, 0, "<stdin>")
        else:
            try:
                fd = await p.open(name)
            except OSError as e:
                await complain(p, f"cat: cannot open {name}: {e}")
                return "bad open"
            try:
                status = await _cat(p, fd, name)
            finally:
                p.close(fd)
        if status:
            return status
    return ""


async def _cat(p: Proc, fd: int, name: str) -> str:
    while True:
        try:
            data = await p.read(fd, READSIZE)
        except OSError as e:
            await complain(p, f"cat: error reading {name}: {e}")
            return "read error"
        if not data:
            return ""
        try:
            await p.write(1, data)
        except OSError as e:
            await complain(p, f"cat: write error: {e}")
            return "write error"
