"""A shell to test: in this process, with its output in files that have no name."""

from __future__ import annotations

import asyncio
import os
from typing import NamedTuple

from nsh.boot import boot
from nsh.dev.hostfd import HostFdDevice
from nsh.kern.proc import Proc, current
from nsh.rc.parse import Parser
from nsh.rc.run import Shell
from nsh.rc.session import connect


class Result(NamedTuple):
    out: str
    err: str
    status: str


class World:
    """A booted system whose first process reads nothing, and writes to two files in memory."""

    def __init__(self, p: Proc) -> None:
        connect(p)
        device = p.system.device("f")
        assert isinstance(device, HostFdDevice)
        self.proc = p
        self._files = [os.memfd_create(name) for name in ("out", "err")]
        p.fgrp.put(0, device.chan(os.open("/dev/null", os.O_RDONLY), "null"))
        for number, fd in enumerate(self._files, 1):
            p.fgrp.put(number, device.chan(os.dup(fd), str(number)))
        self.shell = Shell(p, "test")

    async def run(self, text: str) -> Result:
        """Run commands; returns what they wrote since the last call, and the status."""
        sh = self.shell
        token = current.set(self.proc)
        try:
            status = await sh.whole(lambda: sh.script(Parser(text, file="test")))
        finally:
            current.reset(token)
        out, err = (self._taken(fd) for fd in self._files)
        return Result(out, err, status)

    def _taken(self, fd: int) -> str:
        size = os.fstat(fd).st_size
        data = os.pread(fd, size, 0)
        os.ftruncate(fd, 0)
        os.lseek(fd, 0, os.SEEK_SET)
        return data.decode("utf-8", "surrogateescape")

    async def close(self) -> None:
        """End everything that was started."""
        self.proc.exit()
        for other in list(self.proc.system.procs.values()):
            other.kill()
        me = asyncio.current_task()
        if tasks := [task for task in asyncio.all_tasks() if task is not me]:
            await asyncio.wait(tasks)
        for fd in self._files:
            os.close(fd)


async def world() -> World:
    return World(await boot())


async def rc(text: str) -> Result:
    """What a script writes, and its status."""
    w = await world()
    try:
        return await w.run(text)
    finally:
        await w.close()
