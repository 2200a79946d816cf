"""echo: write the arguments to standard output, in one write."""

from __future__ import annotations

from nsh.cmd import complain
from nsh.kern.proc import Proc


async def main(p: Proc, argv: list[str]) -> str:
    words, end = argv[1:], "\n"
    if words and words[0] == "-n":
        words, end = words[1:], ""
    try:
        await p.print(" ".join(words) + end)
    except OSError as e:
        await complain(p, f"echo: write error: {e}")
        return "write error"
    return ""
