"""Mounts an empty memfs at the directory that is its argument, until it is told to end."""

from __future__ import annotations

import asyncio
import signal
import sys

from nsh.boot import boot
from nsh.kern.proc import current
from nsh.net.fuse import mount


async def main(where: str) -> None:
    p = await boot()
    current.set(p)
    served = await mount(p, await p.system.attach("R", ""), where)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, served.close)
    await served.wait()
    p.exit()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
