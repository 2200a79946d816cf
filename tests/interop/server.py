"""A host, as a program of its own: nsh that exports some of its files without authentication.

``python -m tests.interop.server NAME ...`` serves each NAME of its name space on a port of the loopback
interface, prints the ports, one a line, and ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import sys

from nsh.boot import boot
from nsh.dev import TABLE
from nsh.kern.chan import Chan
from nsh.kern.namec import Access, namec
from nsh.kern.proc import Proc, current
from nsh.kern.stream import stream
from nsh.net.dial import announce
from nsh.net.serve import Server, listen
from taskfs.dev import TaskDevice


async def serve(p: Proc, name: str) -> int:
    """Export ``name`` on a free port; returns the port."""
    root = await namec(p, name, Access.TODIR)
    listener = await announce(p.system, "tcp!127.0.0.1!0")

    async def welcome(q: Proc, connection: Chan) -> None:
        Server(q, root, stream(connection))

    listen(p, ["listener"], listener, welcome)
    return int(listener.address.service)


async def main(names: list[str]) -> None:
    p = await boot({**TABLE, "T": TaskDevice})
    current.set(p)
    for name in names:
        print(await serve(p, name), flush=True)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(0, ended.set)
    await ended.wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
