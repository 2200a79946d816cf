"""pwd: print the name of the current directory, as one came to it."""

from __future__ import annotations

from nsh.kern.proc import Proc


async def main(p: Proc, argv: list[str]) -> str:
    # a directory that cannot be opened any more has no name that would help
    p.close(await p.open("."))
    await p.print(p.getwd() + "\n")
    return ""
