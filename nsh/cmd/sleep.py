"""sleep: wait for some seconds, which may have a fraction."""

from __future__ import annotations

import asyncio
import re

from nsh.cmd.arg import Usage
from nsh.kern.proc import Proc

_SECONDS = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)")


async def main(p: Proc, argv: list[str]) -> str:
    if len(argv) != 2 or not _SECONDS.fullmatch(argv[1]):
        raise Usage("time")
    await asyncio.sleep(float(argv[1]))
    return ""
