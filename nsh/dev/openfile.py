"""An open descriptor of the host, read and written so that nobody waits but who has to.

A regular file is read at once when its pages are in memory and in a thread when not; a FIFO, a terminal or
another device is read when the loop says that it is ready. Where all answers may take long, all questions
are asked in threads (`nsh.dev.patience`).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import select
import stat as unix
from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar

from nsh.dev import libc
from nsh.dev.patience import Patience, Place, in_background, may_wait, patiently
from nsh.kern.chan import Maybe

T = TypeVar("T")

_END = (1 << 63) - 1
"""Where the host's offsets end."""


class OpenFile:
    """An open descriptor of the host, with the ways to read and write it that never hold up the loop.

    ``place``: where one may have to wait for what is said of it, and for a regular file or a directory also
    for what is in it; None if that is at hand.
    """

    def __init__(self, fd: int, mode: int, place: Place | None = None) -> None:
        self.fd = fd
        self.place = place
        self.regular = unix.S_ISREG(mode)
        self._fifo = unix.S_ISFIFO(mode)
        self._nowait = True
        self._users = 1
        self._reading = asyncio.Lock()
        self._writing = asyncio.Lock()

    def close(self) -> None:
        """Give up the descriptor; it is closed when no thread uses it any more."""
        self._users -= 1
        if self._users == 0:
            if self.place is None:
                os.close(self.fd)
            else:
                in_background(self.place, partial(os.close, self.fd))

    def hold(self) -> Callable[[], None]:
        """Keep the descriptor open, so that its number cannot come to mean another file; returns `close`."""
        self._users += 1
        return self.close

    @contextlib.contextmanager
    def _in_use(self) -> Iterator[None]:
        release = self.hold()
        try:
            yield
        finally:
            release()

    async def _patiently(self, call: Callable[[], T]) -> T:
        assert self.place is not None
        return await patiently(self.place, call, after=self.hold())

    def status(self) -> os.stat_result:
        """fstat(2). Raises `Patience` where this thread may not wait for it."""
        if self.place is not None and not may_wait():
            raise Patience(self.place)
        return os.fstat(self.fd)

    # --- regular files -------------------------------------------------------------------------

    def read_at(self, count: int, offset: int) -> Maybe[bytes]:
        """Bytes of a regular file: at once if they are in memory, else by a thread."""
        if self.place is not None:
            count = max(min(count, _END - offset), 0)
            return self._patiently(partial(libc.pread, self.fd, count, offset))
        size = os.fstat(self.fd).st_size
        count = min(count, _END - offset)
        if count <= 0:
            return b""
        if not size:  # a file of /proc, say, that is as long as it turns out to be
            return os.pread(self.fd, count, offset)
        count = min(count, size - offset)
        if count <= 0:
            return b""
        if self._nowait:
            buffer = bytearray(count)
            try:
                done = os.preadv(self.fd, [buffer], offset, os.RWF_NOWAIT)
                if done == count:
                    return bytes(buffer)
            except BlockingIOError:
                pass
            except OSError as e:
                if e.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
                    raise
                self._nowait = False
        return self._pread_in_thread(count, offset)

    def write_at(self, data: bytes, offset: int) -> Maybe[int]:
        """Write to a regular file; returns how many bytes were taken."""
        if self.place is None:
            return os.pwrite(self.fd, data, offset)
        return self._patiently(partial(libc.pwrite, self.fd, bytes(data), offset))

    async def _pread_in_thread(self, count: int, offset: int) -> bytes:
        self.hold()
        running = asyncio.get_running_loop().run_in_executor(None, os.pread, self.fd, count, offset)
        running.add_done_callback(self._thread_done)
        # the thread goes on when the reader is cancelled, and must find its descriptor open
        return await asyncio.shield(running)

    def _thread_done(self, running: asyncio.Future[bytes]) -> None:
        if not running.cancelled():
            running.exception()  # seen here, in case that nobody waits for it any more
        self.close()

    # --- what has no offsets -------------------------------------------------------------------

    async def read(self, count: int) -> bytes:
        """The next bytes of a FIFO or a device, once there are some."""
        with self._in_use():
            async with self._reading:
                if self._fifo and not self._ready(select.POLLIN | select.POLLHUP):
                    await self._wait("reader")  # without a writer a read would not wait
                while True:
                    try:
                        return os.read(self.fd, count)
                    except BlockingIOError:
                        await self._wait("reader")

    async def write(self, data: bytes) -> int:
        """Write to a FIFO or a device as much as it takes at once; waits until it takes something."""
        with self._in_use():
            async with self._writing:
                while True:
                    try:
                        return os.write(self.fd, data)
                    except BlockingIOError:
                        await self._wait("writer")

    def _ready(self, events: int) -> bool:
        poll = select.poll()
        poll.register(self.fd, events)
        return bool(poll.poll(0))

    async def _wait(self, as_what: str) -> None:
        """Wait, as "reader" or "writer", until the descriptor is ready."""
        loop = asyncio.get_running_loop()
        ready: asyncio.Event = asyncio.Event()
        fd = os.dup(self.fd)  # the loop has room for one reader and one writer of a number
        getattr(loop, f"add_{as_what}")(fd, ready.set)
        try:
            await ready.wait()
        finally:
            getattr(loop, f"remove_{as_what}")(fd)
            os.close(fd)
