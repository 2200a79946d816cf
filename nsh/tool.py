"""A command of nsh as a program of the host: ``nsh 9p ...``, and ``9p`` where nsh is installed.

There is no shell, and no name space worth the name: only what the command needs to have its three
descriptors and to call a server. That is why it starts faster than a shell that runs it.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

from nsh import cmd
from nsh.boot import boot
from nsh.dev import TABLE
from nsh.dev.hostfd import HostFdDevice


def ninep() -> int:
    """The program ``9p``."""
    return run("9p", sys.argv[1:])


def run(name: str, args: Sequence[str]) -> int:
    """Run the command ``name`` to its end; returns the exit code."""
    try:
        return asyncio.run(_run([name, *args]))
    except KeyboardInterrupt:
        return 130


async def _run(argv: list[str]) -> int:
    p = await boot(TABLE, ())
    HostFdDevice.of(p.system).inherit(p)
    try:
        status = await p.start(lambda p: cmd.run(cmd.find(argv[0]), p, argv))
        await asyncio.sleep(0)  # for what was closed last
    finally:
        p.exit()
    return 1 if status else 0
