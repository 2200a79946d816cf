"""Two systems of one test that meet over real sockets, and commands run in them."""

from __future__ import annotations

import asyncio

from nsh.cmd import find, run
from nsh.kern.chan import Chan, settle
from nsh.kern.namec import Access, namec
from nsh.kern.proc import RFFDG, Proc
from nsh.kern.stream import stream
from nsh.net.dial import Listener, announce
from nsh.net.serve import Server, listen
from nsh.p9.const import ORDWR


class Host:
    """A process that exports ``name`` on a free port of the loopback interface, or on a unix socket."""

    def __init__(self, p: Proc, listener: Listener) -> None:
        self.p = p
        self.address = str(listener.address)
        self.servers: list[Server] = []

    @property
    def port(self) -> int:
        return int(self.address.rsplit("!", 1)[1])

    @classmethod
    async def start(cls, p: Proc, name: str = "/mnt", address: str = "tcp!127.0.0.1!0") -> Host:
        root = await namec(p, name, Access.TODIR)
        listener = await announce(p.system, address)
        host = cls(p, listener)

        async def welcome(q: Proc, connection: Chan) -> None:
            host.servers.append(Server(q, root, stream(connection)))

        listen(p, ["listener"], listener, welcome)
        return host

    async def stop(self) -> None:
        """End the whole system of this host, as if the program had been ended."""
        self.p.exit()
        await quiet()


async def quiet() -> None:
    """Let what was closed on either side come to its end."""
    for _ in range(20):
        await asyncio.sleep(0.002)


async def command(p: Proc, *argv: str) -> tuple[str, str]:
    """Run a command as a child of ``p``; its status, and what it wrote to descriptors 1 and 2."""
    theirs, ours = await p.system.pipe()
    child = p.fork(RFFDG)
    for fd in range(3):
        child.fgrp.put(fd, theirs.incref())
    theirs.close()
    main = find(argv[0])
    child.start(lambda child: run(main, child, list(argv)))
    status = await child.wait()
    length = (await settle(ours.dev.stat(ours))).length
    output = b""
    while len(output) < length:
        output += await settle(ours.dev.read(ours, 65536, 0))
    ours.close()
    return status, output.decode()


async def opened(p: Proc, name: str, mode: int = ORDWR) -> Chan:
    """An open Chan, without a descriptor."""
    return await namec(p, name, Access.OPEN, mode)
