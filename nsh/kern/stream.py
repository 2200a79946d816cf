"""Stream: a two-way flow of bytes, as the 9P machinery wants it: by callbacks, without copying.

A connection of the network is a Stream already. Any other open file that carries bytes both ways (one
end of a pipe) is made into one by `ChanStream`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Protocol

from nsh import errors
from nsh.kern.chan import Chan, settle

READSIZE = 65536
"""Bytes that are asked of a Chan at a time."""


class Receiver(Protocol):
    """Who gets what arrives on a Stream."""

    def received(self, data: bytes) -> None:
        """Bytes have arrived."""

    def lost(self, reason: Exception | None) -> None:
        """The stream has ended (None) or broken; nothing more will arrive. Called once."""


class Stream(Protocol):
    """Bytes to and from a peer. ``address``: the peer, as a dial string or a file name."""

    address: str

    def start(self, receiver: Receiver) -> None:
        """Deliver what arrives to ``receiver`` from now on."""

    def write(self, parts: Sequence[bytes | memoryview]) -> None:
        """Send these buffers, in order. Never waits; what cannot go out yet is queued."""

    def backlog(self) -> int:
        """Bytes that are queued."""
        ...

    def pause(self) -> None:
        """Deliver nothing until `resume`; what the peer sends waits at the peer."""

    def resume(self) -> None:
        """Deliver again what arrives."""

    async def drain(self) -> None:
        """Wait until the queue is short again."""

    def close(self) -> None:
        """Send what is queued, then end the stream; `Receiver.lost` is called."""


class ChanStream:
    """A Stream over an open Chan: one task reads it, another writes what is queued."""

    def __init__(self, c: Chan) -> None:
        self.address = str(c.path)
        self._chan = c
        self._receiver: Receiver | None = None
        self._queue: deque[bytes | memoryview] = deque()
        self._queued = 0
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._closing = False
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._tasks = [asyncio.create_task(self._reader()), asyncio.create_task(self._writer())]

    def write(self, parts: Sequence[bytes | memoryview]) -> None:
        if self._closing:
            return
        self._queue.extend(parts)
        self._queued += sum(len(part) for part in parts)
        self._idle.clear()
        self._wake.set()

    def backlog(self) -> int:
        return self._queued

    def pause(self) -> None:
        self._flowing.clear()

    def resume(self) -> None:
        self._flowing.set()

    async def drain(self) -> None:
        await self._idle.wait()

    def close(self) -> None:
        self._closing = True
        self._wake.set()
        if not self._tasks:
            self._chan.close()

    async def _reader(self) -> None:
        c = self._chan
        reason: Exception | None = None
        try:
            while data := await settle(c.dev.read(c, READSIZE, c.offset)):
                c.offset += len(data)
                await self._flowing.wait()
                if self._receiver is not None:
                    self._receiver.received(data)
        except OSError as e:
            reason = e.with_traceback(None)
        self._end(reason)

    async def _writer(self) -> None:
        c = self._chan
        reason: Exception | None = None
        try:
            while self._queue or not self._closing:
                self._wake.clear()
                while self._queue:
                    # joined, so that one message is one write: a pipe keeps the bounds of writes
                    data = b"".join(self._queue)
                    self._queue.clear()
                    await write_all(c, data)
                    self._queued -= len(data)
                self._idle.set()
                if not self._closing:
                    await self._wake.wait()
        except OSError as e:
            reason = e.with_traceback(None)
        self._end(reason)

    def _end(self, reason: Exception | None) -> None:
        """Both tasks come here; the first one ends the stream."""
        receiver, self._receiver = self._receiver, None
        if receiver is None:
            return
        self._closing = True
        self._idle.set()
        me = asyncio.current_task()
        for task in self._tasks:
            if task is not me:
                task.cancel()
        self._chan.close()
        receiver.lost(reason)


async def write_all(c: Chan, data: bytes) -> None:
    """Write all of ``data`` to an open Chan at its offset. Errors: `Eshortwrite` when nothing is taken."""
    view = memoryview(data)
    while view:
        taken = await settle(c.dev.write(c, bytes(view), c.offset))
        if taken <= 0:
            raise errors.Eshortwrite()
        c.offset += taken
        view = view[taken:]


def stream(c: Chan) -> Stream:
    """The open Chan ``c`` as a Stream; the Stream owns the reference from now on."""
    own = c.dev.stream(c)
    flow = own if own is not None else ChanStream(c)
    tap = c.dev.system.tap
    return flow if tap is None else tap(flow)
