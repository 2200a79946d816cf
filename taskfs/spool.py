"""Spool and Feed: what lies between the pipes of a task and those who read and write its files.

A `Spool` takes all that a task prints, at once, and keeps it for readers that come when they like. A
`Feed` takes what writers have for the task's standard input and passes it on as the task reads. Both
are bounded. They know pipes, offsets and bytes; sessions, files and Chans are not their business.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import termios
from array import array
from collections import deque
from collections.abc import Callable

from nsh import errors
from nsh.errors import P9Error
from taskfs import owner
from taskfs.owner import Budget
from taskfs.watch import Watch

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
RETRY = 1.0
"""Seconds after which a disk that was full is tried again."""


class Bell:
    """Wakes all who wait, each time it is rung."""

    __slots__ = ("_waiters",)

    def __init__(self) -> None:
        self._waiters: dict[asyncio.Future[None], None] | None = None  # most are never waited for

    def ring(self) -> None:
        if self._waiters:
            waiters, self._waiters = self._waiters, None
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)

    async def wait(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        if self._waiters is None:
            self._waiters = {}
        waiters = self._waiters
        waiters[waiter] = None
        try:
            await waiter
        finally:
            waiters.pop(waiter, None)


class Spool:
    """The output of a task, addressed by offset: what was read stays, for the next reader.

    The first `MEMORY` bytes are in memory, the rest in unlinked temporary files of `SEGMENT` bytes. Past
    ``quota`` bytes the oldest piece is given up if all who read are behind it; if they are not, or nobody
    reads, the pipe is left alone until they are, and the task is held back by it. So it is when the disk is
    full, or no more files can be opened: nothing is lost, and it goes on when there is room or a reader.
    """

    __slots__ = ("_bell", "_budget", "_fd", "_head", "_name", "_positions", "_quota",
                 "_retry", "_segments", "_tail", "_tell", "_watch", "end", "eof", "start")  # fmt: skip

    def __init__(
        self,
        quota: int | None = None,
        name: str = "",
        tell: Callable[[str], None] | None = None,
        budget: Budget | None = None,
    ) -> None:
        """``tell`` is told the first time that the task is held back, and why, under this ``name``;
        ``budget``: what its owner keeps.
        """
        self.start = 0
        self.end = 0
        self.eof = False
        self._quota = QUOTA if quota is None else quota
        self._name = name
        self._tell = tell
        self._budget = budget or Budget()
        self._head = bytearray()  # the first that are kept
        self._segments: list[tuple[int, int]] = []  # (offset of the first byte, descriptor)
        self._tail = b""  # the last, as long as the disk does not take them
        self._retry: asyncio.TimerHandle | None = None
        self._bell = Bell()
        self._positions: dict[object, int] = {}
        self._fd = -1
        self._watch: Watch | None = None  # while there is a pipe

    # --- the task's side -----------------------------------------------------------------------

    def drain(self, fd: int, watch: Watch) -> None:
        """Take all that comes out of the pipe ``fd``, which is the spool's now, when ``watch`` says so."""
        if self.eof:
            os.close(fd)
            return
        os.set_blocking(fd, False)
        self._fd = fd
        self._watch = watch
        self._readable()
        if self.end and not self.eof:
            self._readable()  # most tasks print little, and end
        self._resume()

    async def put(self, data: bytes) -> None:
        """Take ``data``, from whoever has it instead of a pipe, once there is room; at the end, drop it."""
        while not self.eof and not self._room():
            await self._bell.wait()
        if data and not self.eof:
            self._keep(data)

    def close(self) -> None:
        """Nobody will read this any more: let go of the pipe and of all that is kept."""
        self.finish()
        self._tell = None
        self._stop_retrying()
        self._budget.memory -= len(self._head) + len(self._tail)
        if self._segments:
            self._budget.disk -= self.end - len(self._tail) - self._segments[0][0]
            for _, fd in self._segments:
                os.close(fd)
            self._segments = []
        self._head.clear()
        self._tail = b""
        self.start = self.end

    def _resume(self) -> None:
        """There may be room again."""
        self._bell.ring()
        if self._watch is not None:
            self._watch.add(self._fd, self._readable)

    def _readable(self) -> None:
        if not self._room():
            if self._watch is not None:
                self._watch.remove(self._fd)
            return
        try:
            data = os.read(self._fd, PIECE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._keep(data)
        else:
            self.finish()

    def finish(self) -> None:
        """Nothing more will come."""
        self.eof = True
        if self._watch is not None:
            self._watch.remove(self._fd)
            os.close(self._fd)
            self._watch = None
        self._bell.ring()

    def _keep(self, data: bytes) -> None:
        self.end += len(data)
        room = min(MEMORY - len(self._head), owner.MAXMEMORY - self._budget.memory)
        self._budget.memory += len(data)
        if not self._segments and len(data) <= room:
            self._head += data
        else:
            self._tail = data
            self._write_out()
        self._bell.ring()

    def _write_out(self) -> None:
        """Let the disk have the tail; what it does not take is tried again."""
        self._stop_retrying()
        try:
            while self._tail:
                if self._budget.disk >= owner.MAXDISK:
                    raise OSError(errno.EDQUOT, f"{self._budget.disk} bytes of all sessions are on the disk")
                at = self.end - len(self._tail)
                if not self._segments or at - self._segments[-1][0] >= SEGMENT:
                    self._segments.append((at, temporary()))
                first, fd = self._segments[-1]
                n = os.pwrite(fd, self._tail, at - first)
                self._tail = self._tail[n:]
                self._budget.memory -= n
                self._budget.disk += n
        except OSError as e:
            self._say(e.strerror or os.strerror(e.errno or 0))
            self._try_later()

    def _try_later(self) -> None:
        self._stop_retrying()
        self._retry = asyncio.get_running_loop().call_later(RETRY, self._try_again)

    def _try_again(self) -> None:
        self._write_out()
        if not self._tail:
            self._resume()

    def _stop_retrying(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None

    def _room(self) -> bool:
        """Is there room for more? Gives up what has been read, if that makes room."""
        kept = self.end - self.start
        while self._tail or kept >= self._quota or (self._budget.full and kept):
            if not self._positions or min(self._positions.values()) < self._second():
                self._say(f"{kept} bytes are kept, and not read")
                if self._budget.full and not self._tail:
                    self._try_later()
                return False
            self._drop()
            kept = self.end - self.start
        return True

    def _say(self, why: str) -> None:
        if self._tell is not None:
            self._tell(f"{self._name} held back: {why}")
            self._tell = None

    def _second(self) -> int:
        """Where the piece begins that comes behind the oldest one."""
        pieces = [first for first, _ in self._segments]
        pieces += [self.end - len(self._tail), self.end]
        return pieces[0] if self._head else pieces[1] if self._segments else self.end

    def _drop(self) -> None:
        """Give the oldest piece up."""
        second = self._second()
        if self._head:
            self._budget.memory -= len(self._head)
            self._head.clear()
        elif self._segments:
            first, fd = self._segments.pop(0)
            self._budget.disk -= second - first
            os.close(fd)
        else:
            self._budget.memory -= len(self._tail)
            self._tail = b""
        self.start = second

    # --- the readers' side ---------------------------------------------------------------------

    def read(self, count: int, offset: int) -> bytes | None:
        """At most ``count`` bytes from ``offset``; empty at the end; None if more is still to come.

        Errors: those of the disk, and one of its own for what was given up.
        """
        if offset >= self.end:
            return b"" if self.eof else None
        if offset < self.start:
            raise P9Error("output no longer kept")
        if offset - self.start < len(self._head):
            return bytes(memoryview(self._head)[offset - self.start :][:count])
        written = self.end - len(self._tail)
        if offset >= written:
            return self._tail[offset - written :][:count]
        first, fd = next(piece for piece in reversed(self._segments) if piece[0] <= offset)
        return os.pread(fd, min(count, written - offset), offset - first)

    def advance(self, reader: object, offset: int) -> None:
        """``reader`` has got everything below ``offset``."""
        before = self._positions.get(reader, 0)
        self._positions[reader] = offset
        if offset > before and (self._tail or self.end - self.start >= self._quota):
            self._resume()

    def forget(self, reader: object) -> None:
        """``reader`` will not come back."""
        if self._positions.pop(reader, None) is not None and self._positions:
            self._resume()

    async def more(self) -> None:
        """Wait until there may be more to read, or the end."""
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

    __slots__ = ("_bell", "_fd", "_queue", "_queued", "_watching", "broken", "ended")

    def __init__(self) -> None:
        self._queue: deque[memoryview] | None = None  # to most nothing is written
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
        self._fd = fd
        if self._queue or self.ended:
            self._flush()

    def write(self, data: bytes) -> bool:
        """Queue ``data``; False if the queue is now so long that the writer should `wait`.

        Errors: `Ewclosed`.
        """
        if self.ended or self.broken:
            raise errors.Ewclosed()
        if self._queue is None:
            self._queue = deque()
        self._queue.append(memoryview(data))
        self._queued += len(data)
        self._bell.ring()
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

    @property
    def drained(self) -> bool:
        """Has the task read all that was written, and may it expect more?"""
        if self._fd < 0 or self._queue:
            return False
        unread = array("i", [0])
        fcntl.ioctl(self._fd, termios.FIONREAD, unread)
        return not unread[0]

    def take(self) -> list[bytes]:
        """Everything that is queued, for who passes it on himself instead of a pipe."""
        pieces = [bytes(piece) for piece in self._queue or ()]
        self._queue = None
        self._queued = 0
        self._bell.ring()
        return pieces

    async def get(self) -> bytes:
        """All that is queued, as soon as there is something; empty at the end."""
        while not self._queue and not self.ended and not self.broken:
            await self._bell.wait()
        return b"".join(self.take())

    def end(self) -> None:
        """No more will be written: end of file, behind what is queued."""
        self.ended = True
        self._bell.ring()
        if self._fd >= 0 and not self._watching:
            self._flush()

    def close(self) -> None:
        """The task is gone, or has closed its end: drop what is queued."""
        self.broken = True
        self._queue = None
        self._queued = 0
        self._shut()
        self._bell.ring()

    def _flush(self) -> None:
        """Write as much as the pipe takes; see to it that the rest follows."""
        os.set_blocking(self._fd, False)
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
