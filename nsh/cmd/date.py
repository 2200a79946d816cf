"""date: print the time, of now or of some second since 1970."""

from __future__ import annotations

import time

from nsh.cmd.arg import Usage, parse
from nsh.kern.proc import Proc

USAGE = "[-un] [seconds]"


async def main(p: Proc, argv: list[str]) -> str:
    options = parse(argv, "un", USAGE)
    if len(options.args) > 1 or any(word.strip("0123456789") for word in options.args):
        raise Usage(USAGE)
    try:
        now = int(options.args[0] or "0") if options.args else int(time.time())
        await p.print((str(now) if "n" in options else _text(now, "u" in options)) + "\n")
    except (OverflowError, ValueError):  # no such year, or a number of thousands of digits
        raise Usage(USAGE) from None
    return ""


def _text(now: int, utc: bool) -> str:
    """As daytime(2) writes it, which calls the zone GMT that the host may call UTC."""
    then = time.gmtime(now) if utc else time.localtime(now)
    zone = "GMT" if then.tm_zone == "UTC" else then.tm_zone
    return time.strftime(f"%a %b %d %H:%M:%S {zone} %Y", then)
