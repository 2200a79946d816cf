"""basename: print the last element of a name, or what is before it."""

from __future__ import annotations

from nsh.cmd.arg import Usage, parse
from nsh.kern.proc import Proc

USAGE = "[-d] string [suffix]"


async def main(p: Proc, argv: list[str]) -> str:
    options = parse(argv, "d", USAGE)
    if not 1 <= len(options.args) <= (1 if "d" in options else 2):
        raise Usage(USAGE)
    name, *suffix = options.args
    directory, slash, last = name.rpartition("/")
    if "d" in options:
        root = slash if name.startswith("/") else ""
        await p.print((directory or root or ".") + "\n")
    else:
        await p.print(last.removesuffix("".join(suffix)) + "\n")
    return ""
