"""A host, as a program of its own: nsh with the device, exporting /task without authentication.

``python -m tests.taskfs.host DIRECTORY`` stands in DIRECTORY, prints the port that it serves on, mounts what
further arguments NAME=PORT say on /remote/NAME, and ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import os
import sys

from nsh import garbage
from nsh.boot import boot
from nsh.cmd import find
from nsh.dev import TABLE
from nsh.kern.chan import Chan
from nsh.kern.namec import Access, namec
from nsh.kern.proc import Proc, current
from nsh.kern.stream import stream
from nsh.net.dial import announce
from nsh.net.serve import Server, listen
from taskfs.dev import TaskDevice


async def serve(p: Proc) -> int:
    """Export /task on a free port; returns the port."""
    root = await namec(p, "/task", Access.TODIR)
    listener = await announce(p.system, "tcp!127.0.0.1!0")

    async def welcome(q: Proc, connection: Chan) -> None:
        Server(q, root, stream(connection))

    listen(p, ["listener"], listener, welcome).authenticated = False
    return int(listener.address.service)


async def mount(p: Proc, name: str, port: int, where: str = "") -> None:
    """Mount what the host at ``port`` exports on /remote/``name``, or ``where`` else."""
    await find("mount")(p, ["mount", "-A", f"tcp!127.0.0.1!{port}", where or f"/remote/{name}"])


async def main(directory: str, mounts: list[str]) -> None:
    os.chdir(directory)
    p = await boot({**TABLE, "T": TaskDevice})
    garbage.look_seldom()
    current.set(p)
    for text in mounts:
        name, _, port = text.partition("=")
        await mount(p, name, int(port))
    print(await serve(p), flush=True)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(0, ended.set)
    await ended.wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2:]))
