"""date: print the time, of now or of some second since 1970."""

from __future__ import annotations

import time

from nsh.cmd.arg import Usage, parse
from nsh.kern.proc import Proc

USAGE = "[-un] [seconds]"


async def main(p: Proc, argv: list[str]) -> str:
    options = parse(argv, "un", USAGE)
    if len(options.args) > 1 or not all(word.isdecimal() for word in options.args):
        raise Usage(USAGE)
    now = int(options.args[0]) if options.args else int(time.time())
    try:
        await p.print((str(now) if "n" in options else _text(now, "u" in options)) + "\n")
    except (OverflowError, ValueError):  # a year that the calendar does not have
        raise Usage(USAGE) from None
    return ""


def _text(now: int, utc: bool) -> str:
    zone = "GMT" if utc else time.localtime(now).tm_zone
    return time.strftime(f"%a %b %d %H:%M:%S {zone} %Y", time.gmtime(now) if utc else time.localtime(now))
