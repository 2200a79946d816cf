"""Room: a mount name space of Linux in which a session's directory is mounted, for its tasks.

The directory is a FUSE file system that we serve. Who makes a name space must have one thread and no more,
so that is done by a small program, `nsh.net.enter`; tasks enter it on their way (`taskfs.keeper`). Nobody
outside sees the mount, and it ends with those who are inside, however we end.
"""

from __future__ import annotations

import asyncio
import marshal
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from nsh.errors import P9Error
from nsh.net import enter
from nsh.net.fuse.serve import Mounted
from nsh.net.inside import refusal

_MESSAGE = 4096
"""More bytes than a message of `nsh.net.enter` has."""


class Room:
    """A room in which what ``serve`` shows is mounted at ``path``, a directory; `build` it first.

    ``serve`` is given a descriptor of /dev/fuse, which it takes over; ``spaces``: descriptors of the name
    spaces that a task enters, in that order.
    """

    def __init__(self, path: str, serve: Callable[[int], Mounted]) -> None:
        self.path = path
        self.spaces: list[int] = []
        self._serve = serve
        self._mounted: Mounted | None = None

    async def build(self) -> None:
        """Errors: those of the host; `nsh.net.inside.Refused` if Linux does not let us."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        job = os.memfd_create("job")
        with ours:
            ours.setblocking(False)
            try:
                os.pwrite(job, marshal.dumps((os.fsencode(self.path), [], b"", b"", [], {})), 0)
                numbers = job, theirs.fileno()
                helper = subprocess.Popen(  # noqa: ASYNC220  # it takes no longer than any task
                    [sys.executable, "-I", "-S", enter.__file__, *map(str, numbers)],
                    pass_fds=numbers, process_group=0, cwd="/",
                    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                )  # fmt: skip
            finally:
                theirs.close()
                os.close(job)
            try:
                while (message := await self._hear(ours)) != ("built",):
                    if message is None:
                        raise P9Error("the helper program has failed")
                    if message[0] == "refused":
                        raise refusal(message[1], os.strerror(message[2]))
            finally:
                ours.close()
                await asyncio.shield(asyncio.to_thread(helper.wait))

    async def _hear(self, ours: socket.socket) -> Any:
        """The next message from the program; None: it has ended. What is to be served is served."""
        await _readable(ours)
        message, fds, _, _ = socket.recv_fds(ours, _MESSAGE, 3, socket.MSG_CMSG_CLOEXEC)
        if fds:
            device, *self.spaces = fds
            try:
                os.set_blocking(device, False)
                self._mounted = self._serve(device)
            except BaseException:
                os.close(device)
                raise
        return marshal.loads(message) if message else None

    def close(self) -> None:
        """End it; who is still inside has no files any more."""
        spaces, self.spaces = self.spaces, []
        for fd in spaces:
            os.close(fd)
        if self._mounted is not None:
            self._mounted.close()


async def _readable(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def tell() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(sock, tell)
    try:
        await ready
    finally:
        loop.remove_reader(sock)
