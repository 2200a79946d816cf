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
    await complain(p, f"{seconds(loaded - begin)}l {seconds(end - loaded)}r {seconds(end - begin)}t")
    return status


def seconds(duration: float) -> str:
    """Whole milliseconds in four digits, as Inferno has them; but never with an exponent."""
    return f"{round(duration, 3):.4g}" if duration < 9999 else f"{duration:.0f}"
