"""The driver of one mount: reads what the kernel asks from /dev/fuse, feeds a `Session`, writes replies.

Here is also the end of a mount, of which there are many: somebody unmounts it, the process that mounted it
ends, the server behind it dies, or the program is told to stop.
"""

from __future__ import annotations

import asyncio
import logging
import mmap
import os
from collections.abc import Callable
from errno import EAGAIN, ECONNABORTED, EINTR, EINVAL, ENODEV, ENOENT

from nsh.kern.export import File
from nsh.kern.proc import Proc
from nsh.kern.tree import Tree
from nsh.net.fuse import abi
from nsh.net.fuse.mount import Place
from nsh.net.fuse.owners import Owners
from nsh.net.fuse.session import MAXWRITE, Message, Session
from nsh.net.step import start

log = logging.getLogger("nsh.fuse")

BATCH = 32
"""Requests that are done before others have their turn."""


class Mounted:
    """A tree that the host sees at ``where``; requests are made in the name of ``proc``, which ends with it.

    `wait` for its end, or `close` it.
    """

    def __init__(
        self,
        proc: Proc,
        files: Tree,
        root: File,
        fd: int,
        place: Place,
        timeout: float,
        trust: float = 0.0,
        owners: Owners | None = None,
    ) -> None:
        self.proc = proc
        self.where = place.path
        self._fd = fd
        self._place = place
        # pages of its own: of a mount that is little used few are needed, and with the mount all go
        size = abi.BODY + abi.WRITE_IN.size + MAXWRITE
        self._buffer = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._view = memoryview(self._buffer)
        self._gone = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._undo: list[Callable[[], None]] = []
        self._session = Session(files, root, start, self._send, owners or Owners(), timeout, trust)
        self._loop.add_reader(fd, self._readable)

    def undo_at_end(self, undo: Callable[[], None]) -> None:
        """Call ``undo`` when the mount has ended."""
        self._undo.append(undo)

    async def wait(self) -> None:
        """Wait until nothing is mounted any more; cancelled, unmount."""
        try:
            await self._gone.wait()
        finally:
            self.close()

    async def unmount(self) -> None:
        """Unmount, and wait until what programs have changed in memory (mmap) is written."""
        if not self._gone.is_set():
            await asyncio.to_thread(self._place.detach)
        self.close()

    def close(self) -> None:
        """End the mount now: what waits is cancelled, and everybody who still uses it gets an error."""
        if self._gone.is_set():
            return
        self._gone.set()
        self._loop.remove_reader(self._fd)
        os.close(self._fd)  # from now on no request can hold up anybody, us included
        self._place.detach()
        undo, self._undo = self._undo, []
        for each in undo:
            each()
        self.proc.run(self._session.close)
        self.proc.exit()

    def _readable(self) -> None:
        self.proc.run(self._requests)

    def _requests(self) -> None:
        """Do what has arrived."""
        for _ in range(BATCH):
            try:
                size = os.readv(self._fd, [self._buffer])
            except OSError as e:
                if e.errno in (EINTR, ENOENT):  # a signal came, or whoever asked has gone
                    continue
                if e.errno != EAGAIN:
                    self._lost(e)
                return
            self._session.feed(self._view[:size])
            if self._gone.is_set():
                return

    def _lost(self, error: OSError) -> None:
        if error.errno not in (ENODEV, ECONNABORTED):
            log.error("%s: reading requests: %s", self.where, error)
        self.close()

    def _send(self, reply: Message) -> None:
        if self._gone.is_set():
            return
        try:
            os.writev(self._fd, reply)
        except OSError as e:
            if e.errno == EINVAL:
                log.error(
                    "%s: the kernel does not take a reply of %d bytes", self.where, sum(map(len, reply))
                )
            elif e.errno not in (ENOENT, ENODEV, ECONNABORTED):
                log.error("%s: answering: %s", self.where, e)
