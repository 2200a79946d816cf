"""Spool and Feed: what lies between the pipes of a task and those who read and write its files.

A `Spool` takes all that a task prints, at once, and keeps it for readers that come when they like. A
`Feed` takes what writers have for the task's standard input and passes it on as the task reads. Both
are bounded. They know pipes, offsets and bytes; sessions, files and Chans are not their business.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque

from nsh import errors
from nsh.errors import P9Error

MEMORY = 1 << 20
"""Bytes of one stream that are kept in memory; what comes later goes to a file."""
QUOTA = 1 << 30
"""Bytes of one stream that are kept at all; a task that prints more waits for a reader."""
SEGMENT = 32 << 20
"""Bytes of one temporary file: the piece in which kept output is given up."""
INQUEUE = 64 << 10
"""Bytes for a task's standard input that wait in memory; a writer of more waits itself."""
PIECE = 256 << 10
"""Most bytes that are taken from a pipe at a time."""


class Bell:
    """Wakes all who wait, each time it is rung."""

    __slots__ = ("_waiters",)

    def __init__(self) -> None:
        self._waiters: set[asyncio.Future[None]] = set()

    def ring(self) -> None:
        waiters, self._waiters = self._waiters, set()
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def wait(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)


class Spool:
    """The output of a task, addressed by offset: what was read stays, for the next reader.

    The first `MEMORY` bytes are in memory, the rest in unlinked temporary files of `SEGMENT` bytes.
    Past ``quota`` bytes the oldest segment is given up if all who read are behind it; if they are not,
    or nobody reads, the pipe is left alone until they are, and the task is held back by it.
    """

    def __init__(self, quota: int = QUOTA) -> None:
        self.start = 0
        self.end = 0
        self.eof = False
        self.failed: P9Error | None = None
        self._quota = quota
        self._head = bytearray()
        self._segments: deque[tuple[int, int]] = deque()  # (offset of the first byte, descriptor)
        self._bell = Bell()
        self._positions: dict[object, int] = {}
        self._fd = -1

    # --- the task's side -----------------------------------------------------------------------

    def drain(self, fd: int) -> None:
        """Take all that comes out of the pipe ``fd``, which is the spool's from now on."""
        if self.eof:
            os.close(fd)
            return
        os.set_blocking(fd, False)
        self._fd = fd
        self._resume()

    def close(self) -> None:
        """Nobody will read this any more: let go of the pipe and of all that is kept."""
        self._finish()
        self._head.clear()
        while self._segments:
            os.close(self._segments.popleft()[1])
        self.start = self.end

    def _resume(self) -> None:
        if self._fd >= 0:
            asyncio.get_running_loop().add_reader(self._fd, self._readable)

    def _readable(self) -> None:
        if not self._room():
            asyncio.get_running_loop().remove_reader(self._fd)
            return
        try:
            data = os.read(self._fd, PIECE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._finish()
            return
        try:
            self._keep(data)
        except OSError as e:
            # the disk is full: the reader must learn that bytes are missing, not just see an end
            self.failed = errors.from_os(e)
            self._finish()
            return
        self._bell.ring()

    def _finish(self) -> None:
        """The pipe has ended."""
        self.eof = True
        if self._fd >= 0:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1
        self._bell.ring()

    def _keep(self, data: bytes) -> None:
        if self.end < MEMORY and self.end + len(data) <= MEMORY:
            self._head += data
            self.end += len(data)
            return
        if not self._segments or self.end - self._segments[-1][0] >= SEGMENT:
            self._segments.append((self.end, temporary()))
        first, fd = self._segments[-1]
        view = memoryview(data)
        at = self.end - first
        while view:
            n = os.pwrite(fd, view, at)
            view, at = view[n:], at + n
        self.end += len(data)

    def _room(self) -> bool:
        """Is there room for more? Gives up what has been read, if that makes room."""
        while self.end - self.start >= self._quota:
            first_kept = self._segments[1][0] if len(self._segments) > 1 else self.end
            if self._head:
                first_kept = self._segments[0][0] if self._segments else self.end
            if not self._positions or min(self._positions.values()) < first_kept:
                return False
            if self._head:
                self._head.clear()
            else:
                os.close(self._segments.popleft()[1])
            self.start = first_kept
        return True

    # --- the readers' side ---------------------------------------------------------------------

    def read(self, count: int, offset: int) -> bytes | None:
        """At most ``count`` bytes from ``offset``; empty at the end; None if more is still to come.

        Errors: those of the disk, and one of its own for what was given up.
        """
        if offset >= self.end:
            if self.eof and self.failed is not None:
                raise self.failed
            return b"" if self.eof else None
        if offset < self.start:
            raise P9Error("output no longer kept")
        if offset < len(self._head):
            return bytes(memoryview(self._head)[offset : offset + count])
        for first, fd in reversed(self._segments):
            if first <= offset:
                return os.pread(fd, min(count, self.end - offset), offset - first)
        raise P9Error("output no longer kept")

    def advance(self, reader: object, offset: int) -> None:
        """``reader`` has got everything below ``offset``."""
        before = self._positions.get(reader, 0)
        self._positions[reader] = offset
        if self.end - self.start >= self._quota and offset > before and self._fd >= 0:
            self._resume()

    def forget(self, reader: object) -> None:
        """``reader`` will not come back."""
        if self._positions.pop(reader, None) is not None and self._positions and self._fd >= 0:
            self._resume()

    async def more(self) -> None:
        """Wait until there is more to read, or the end."""
        await self._bell.wait()


def temporary() -> int:
    """The descriptor of a new temporary file that has no name, so that nothing is left of it."""
    import tempfile

    where = tempfile.gettempdir()
    try:
        return os.open(where, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError:  # not every file system can
        fd, name = tempfile.mkstemp(dir=where)
        os.unlink(name)
        return fd


class Feed:
    """The standard input of a task: a queue of at most `INQUEUE` bytes (and one write), and a pipe.

    Writes are taken before the task is there, too. ``ended``: nothing more may be written; ``broken``:
    nobody is there to read it.
    """

    def __init__(self) -> None:
        self._queue: deque[memoryview] = deque()
        self._queued = 0
        self._fd = -1
        self._bell = Bell()
        self._watching = False
        self.ended = False
        self.broken = False

    def attach(self, fd: int) -> None:
        """Pass everything on to the pipe ``fd``, which is the feed's from now on."""
        if self.broken:
            os.close(fd)
            return
        os.set_blocking(fd, False)
        self._fd = fd
        self._flush()

    def write(self, data: bytes) -> bool:
        """Queue ``data``; False if the queue is now so long that the writer should `wait`.

        Errors: `Ewclosed`.
        """
        if self.ended or self.broken:
            raise errors.Ewclosed()
        self._queue.append(memoryview(data))
        self._queued += len(data)
        if self._fd >= 0 and not self._watching:
            self._flush()
        if self.broken:
            raise errors.Ewclosed()
        return self._queued <= INQUEUE

    async def wait(self) -> None:
        """Wait until the queue is short. Errors: `Ewclosed`."""
        while self._queued > INQUEUE and not self.broken:
            await self._bell.wait()
        if self.broken:
            raise errors.Ewclosed()

    def take(self) -> list[bytes]:
        """Everything that is queued, for who passes it on himself instead of a pipe."""
        pieces = [bytes(piece) for piece in self._queue]
        self._queue.clear()
        self._queued = 0
        self._bell.ring()
        return pieces

    def end(self) -> None:
        """No more will be written: end of file, behind what is queued."""
        self.ended = True
        if self._fd >= 0 and not self._watching:
            self._flush()

    def close(self) -> None:
        """The task is gone, or has closed its end: drop what is queued."""
        self.broken = True
        self._queue.clear()
        self._queued = 0
        self._shut()
        self._bell.ring()

    def _flush(self) -> None:
        """Write as much as the pipe takes; see to it that the rest follows."""
        try:
            while self._queue:
                n = os.write(self._fd, self._queue[0])
                self._queued -= n
                if n < len(self._queue[0]):
                    self._queue[0] = self._queue[0][n:]
                else:
                    self._queue.popleft()
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            return
        self._watch(bool(self._queue))
        if self.ended and not self._queue:
            self._shut()
        self._bell.ring()

    def _watch(self, on: bool) -> None:
        if on != self._watching:
            self._watching = on
            loop = asyncio.get_running_loop()
            if on:
                loop.add_writer(self._fd, self._flush)
            else:
                loop.remove_writer(self._fd)

    def _shut(self) -> None:
        if self._fd >= 0:
            self._watch(False)
            os.close(self._fd)
            self._fd = -1
