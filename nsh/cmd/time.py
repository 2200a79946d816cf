"""time: say how long a command takes."""

from __future__ import annotations

import time

from nsh import errors
from nsh.cmd import complain, find
from nsh.cmd.arg import Usage
from nsh.cmd.child import call
from nsh.kern.proc import Proc


async def main(p: Proc, argv: list[str]) -> str:
    words = argv[1:]
    if not words:
        raise Usage("cmd ...")
    begin = time.monotonic()
    try:
        find(words[0])
    except errors.Enonexist:
        pass  # a function, a block, a program of the host: nothing that is loaded beforehand
    loaded = time.monotonic()
    status = await call(p, words)
    end = time.monotonic()
    await complain(p, f"{loaded - begin:.4g}l {end - loaded:.4g}r {end - begin:.4g}t")
    return status
