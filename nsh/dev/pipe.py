"""`#|`, pipe(3): a two-way pipe; each attach makes a new one, with its ends as data and data1.

What is written to one end is read from the other, in order and without loss. A read gives at most
what one write put in. A writer waits while more than `QUEUE` bytes are unread. When the last
descriptor of one end is closed, the other end reads what is left and then the end of the file, and
cannot write any more; when both ends are closed, the pipe can be used again.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque

from nsh import errors
from nsh.kern.chan import Chan, Maybe
from nsh.kern.dev import Device, Directory, File, change_name_and_mode
from nsh.p9.stat import Dir

QUEUE = 65536
"""Unread bytes from which on a writer waits."""


class Queue:
    """Bytes on their way from one end to the other."""

    def __init__(self) -> None:
        self.hungup = False
        self._blocks: deque[bytes] = deque()
        self._size = 0
        self._readers: deque[asyncio.Future[None]] = deque()
        self._writers: deque[asyncio.Future[None]] = deque()

    def __len__(self) -> int:
        return self._size

    def read(self, count: int) -> Maybe[bytes]:
        """At most ``count`` bytes; waits for the first; empty when the other end is gone."""
        if self._blocks or self.hungup or count == 0:
            return self._take(count)
        return self._read_later(count)

    async def _read_later(self, count: int) -> bytes:
        while not self._blocks and not self.hungup:
            await _wait_in(self._readers)
        return self._take(count)

    def _take(self, count: int) -> bytes:
        if not self._blocks or count == 0:
            return b""
        block = self._blocks.popleft()
        if len(block) > count:
            self._blocks.appendleft(block[count:])
            block = block[:count]
        self._size -= len(block)
        if self._size <= QUEUE:
            _wake(self._writers)
        if self._blocks:
            _wake(self._readers)
        return block

    def write(self, data: bytes) -> Maybe[int]:
        """Put ``data`` in; waits while the queue is full. Errors: `Ewclosed`."""
        if self._size <= QUEUE and not self._writers:
            return self._put(data)
        return self._write_later(data)

    async def _write_later(self, data: bytes) -> int:
        while self._size > QUEUE and not self.hungup:
            await _wait_in(self._writers)
        return self._put(data)

    def _put(self, data: bytes) -> int:
        if self.hungup:
            raise errors.Ewclosed()
        if data:
            self._blocks.append(bytes(data))
            self._size += len(data)
            _wake(self._readers)
        if self._size <= QUEUE:
            _wake(self._writers)
        return len(data)

    def hangup(self) -> None:
        """No more bytes will come, or be wanted: everybody who waits goes on."""
        self.hungup = True
        for waiters in (self._readers, self._writers):
            while waiters:
                _wake(waiters)


async def _wait_in(waiters: deque[asyncio.Future[None]]) -> None:
    """Wait for one's turn; a turn that comes to one who was cancelled goes to the next."""
    turn = asyncio.get_running_loop().create_future()
    waiters.append(turn)
    try:
        await turn
    except asyncio.CancelledError:
        if turn in waiters:
            waiters.remove(turn)
        elif turn.done() and not turn.cancelled():
            _wake(waiters)
        raise


def _wake(waiters: deque[asyncio.Future[None]]) -> None:
    while waiters:
        turn = waiters.popleft()
        if not turn.done():
            turn.set_result(None)
            return


class End(File):
    """data or data1: reads from one queue and writes to the other."""

    def __init__(self, name: str, pipe: Pipe, number: int) -> None:
        super().__init__(name, 0o666)
        self._pipe = pipe
        self._number = number

    def open(self, c: Chan, mode: int) -> None:
        self._pipe.opens[self._number] += 1

    def close(self, c: Chan) -> None:
        self._pipe.opens[self._number] -= 1
        self._pipe.closed(self._number)

    def read(self, c: Chan, count: int, offset: int) -> Maybe[bytes]:
        return self._pipe.queues[self._number].read(count)

    def write(self, c: Chan, data: bytes, offset: int) -> Maybe[int]:
        return self._pipe.queues[1 - self._number].write(data)

    def length(self) -> int:
        return len(self._pipe.queues[self._number])

    def wstat(self, c: Chan, d: Dir) -> None:
        change_name_and_mode(c, d)


class Pipe(Directory):
    """One pipe: the directory with its two ends."""

    def __init__(self) -> None:
        self.opens = [0, 0]
        self.queues = (Queue(), Queue())
        super().__init__("#|", End("data", self, 0), End("data1", self, 1))

    def closed(self, end: int) -> None:
        """A descriptor of ``end`` was closed: is that end, or the whole pipe, out of use?"""
        if self.opens == [0, 0]:
            self.queues = (Queue(), Queue())
        elif not self.opens[end]:
            for queue in self.queues:
                queue.hangup()


class PipeDevice(Device):
    """`#|`: data and data1."""

    letter, name = "|", "pipe"
    fresh = True
    harmless = True

    _instances = itertools.count(1)

    def attach(self, spec: str) -> Chan:
        root = Pipe()
        return Chan(self, root.qid, self.rootpath(), root, next(self._instances))

    def create(self, c: Chan, name: str, mode: int, perm: int) -> Maybe[Chan]:
        raise errors.Eperm()

    def remove(self, c: Chan) -> Maybe[None]:
        raise errors.Eperm()
