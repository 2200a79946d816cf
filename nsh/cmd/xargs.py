"""xargs: run a command once for each line of standard input, with the words of the line as arguments."""

from __future__ import annotations

from nsh.cmd.arg import Usage
from nsh.cmd.child import call
from nsh.cmd.files import READSIZE
from nsh.kern.proc import Proc

USAGE = "command [command args] <[list of last command arg]"


async def main(p: Proc, argv: list[str]) -> str:
    command = argv[1:]
    if not command:
        raise Usage(USAGE)
    rest = b""
    while data := await p.read(0, READSIZE):
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            if status := await _run(p, command, line):
                return status
    return await _run(p, command, rest)


async def _run(p: Proc, command: list[str], line: bytes) -> str:
    """Run the command with the words of one line, if it has any; returns the exit status."""
    words = [word for word in line.decode("utf-8", "surrogateescape").replace("\t", " ").split(" ") if word]
    return await call(p, [*command, *words]) if words else ""
