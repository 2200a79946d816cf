"""Network connections: the bytes of one socket.

A `Conn` is the asyncio protocol of one connected socket. It is a `nsh.kern.stream.Stream` for the 9P
machinery, which takes what arrives by callbacks; until somebody does, it can be read and written like
any file. How a connection comes about is told by `nsh.net.dial`, its files are `nsh.net.ip`'s, and what
is said over it is not known here.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol, cast

from nsh import errors
from nsh.kern.chan import Chan, Maybe
from nsh.kern.proc import System
from nsh.kern.stream import Receiver

HIGH = 256 * 1024
"""Bytes that may be queued, either way, before whoever fills the queue has to wait."""
LARGE = 32 * 1024
"""Bytes from which on a write goes to the socket without being put together first."""
IOV_MAX = 1024
"""Buffers that the kernel takes in one call."""
LINGER = 10.0
"""Seconds for a peer to take what is left after the connection was closed here."""

KEEPIDLE, KEEPINTERVAL, KEEPCOUNT = 30, 10, 3
"""After so many seconds of silence a TCP peer is probed, so often; a dead one is found in a minute."""


bytes(1 << 24)
"""Made and dropped, without a page of it being touched: glibc notes the size of the largest block that was
given back, and from then on takes smaller ones from its heap. Otherwise each message of 1 MiB is new memory,
mapped, filled page by page by the kernel, and unmapped, which costs five times as much as what is done with
it."""


class Conn(asyncio.Protocol):
    """One connection: a Stream once `start` was called, a file until then.

    ``remote``, ``local``: the two ends, as ``host!port`` or a socket's path; ``address``: the remote
    end as a dial string.
    """

    def __init__(self, net: str, remote: str, local: str) -> None:
        self.address = f"{net}!{remote}"
        self.remote, self.local = remote, local
        self._transport: asyncio.Transport | None = None
        self._fd = -1  # of the socket
        self._receiver: Receiver | None = None
        self._holder: Chan | None = None
        self._arrived: deque[bytes] = deque()
        self._unread = 0
        self._paused = False
        self._full = False
        self._over = False
        self._reason: Exception | None = None
        self.at_end: Callable[[], None] | None = None  # called when the connection is over
        self._waiters: list[asyncio.Future[None]] = []

    # --- what asyncio calls --------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        transport.set_write_buffer_limits(high=HIGH)
        sock = transport.get_extra_info("socket")
        self._fd = sock.fileno() if sock is not None else -1

    def data_received(self, data: bytes) -> None:
        if self._receiver is not None and not self._arrived:
            self._receiver.received(data)
            return
        self._arrived.append(data)
        self._unread += len(data)
        self._throttle()
        self._wake()

    def eof_received(self) -> bool:
        """The peer sends no more. A file may still be written to; a stream has ended."""
        if self._receiver is not None:
            return False
        self._over = True
        self._wake()
        return True

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        self._wake()

    def connection_lost(self, reason: Exception | None) -> None:
        self._transport = None
        self._over, self._full, self._reason = True, False, reason
        self._wake()
        receiver, self._receiver = self._receiver, None
        holder, self._holder = self._holder, None
        if receiver is not None:
            receiver.lost(reason)
        if holder is not None:
            holder.close()
        if self.at_end is not None:
            self.at_end()

    # --- the Stream ----------------------------------------------------------------------------

    def hold(self, c: Chan) -> None:
        """Use the connection as a Stream from now on; ``c``, open, is closed when it has ended.

        Errors: `Einuse` when it is used so already, `Ehungup` when it has gone.
        """
        if self._holder is not None or self._receiver is not None:
            raise errors.Einuse()
        if self._transport is None:
            raise errors.Ehungup()
        self._holder = c

    def start(self, receiver: Receiver) -> None:
        self._receiver = receiver
        while self._arrived and not self._paused:
            data = self._arrived.popleft()
            self._unread -= len(data)
            receiver.received(data)
        self._throttle()
        if self._transport is None:
            asyncio.get_running_loop().call_soon(self.connection_lost, self._reason)
        elif self._over:
            self.close()

    def write(self, parts: Sequence[bytes | memoryview]) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if self._fd >= 0 and not transport.get_write_buffer_size():
            size = sum(map(len, parts))
            if size >= LARGE:
                parts = self._write_now(parts, size)
        # from Python 3.12 on a transport would keep an empty part, try to send it for ever, and never close
        transport.writelines([part for part in parts if len(part)])
        if not self._full and transport.get_write_buffer_size() > HIGH:
            transport.set_write_buffer_limits(high=HIGH)  # to notice it: 3.12 to 3.12.8 and 3.13.0 do not

    def _write_now(self, parts: Sequence[bytes | memoryview], size: int) -> list[memoryview]:
        """Give the socket as much as it takes; returns the rest.

        A transport would join the parts before anything else, which costs as much as sending them.
        """
        try:
            taken = os.writev(self._fd, parts[:IOV_MAX])
        except OSError:  # it is full, or broken: the transport finds out
            taken = 0
        rest = []
        for part in parts:
            if taken < len(part):
                rest.append(memoryview(part)[taken:])
            taken = max(0, taken - len(part))
        return rest

    def backlog(self) -> int:
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    def pause(self) -> None:
        self._paused = True
        self._throttle()

    def resume(self) -> None:
        self._paused = False
        if self._receiver is not None and self._arrived:
            self.start(self._receiver)
        self._throttle()

    async def drain(self) -> None:
        while self._full:
            await self._wait()

    def close(self) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        transport.close()
        if transport.get_write_buffer_size():
            asyncio.get_running_loop().call_later(LINGER, transport.abort)

    def hand_over(self) -> socket.socket:
        """A second descriptor of the socket. Nothing is read here any more: a program of the host shall.

        Errors: `Ehungup`.
        """
        if self._transport is None:
            raise errors.Ehungup()
        self.pause()
        return socket.socket(fileno=os.dup(self._fd))

    # --- the file ------------------------------------------------------------------------------

    def read(self, count: int) -> Maybe[bytes]:
        """What has arrived, at most ``count`` bytes; waits for the first; empty at the end."""
        self._check_file()
        if self._arrived or self._over or count == 0:
            return self._take(count)
        return self._read_later(count)

    async def _read_later(self, count: int) -> bytes:
        while not self._arrived and not self._over:
            await self._wait()
        self._check_file()
        return self._take(count)

    def _take(self, count: int) -> bytes:
        if not self._arrived or count == 0:
            return b""
        data = self._arrived.popleft()
        if len(data) > count:
            self._arrived.appendleft(data[count:])
            data = data[:count]
        self._unread -= len(data)
        self._throttle()
        return data

    def send(self, data: bytes) -> Maybe[int]:
        """Write as to a file: waits while too much is queued. Errors: `Ehungup`."""
        self._check_file()
        if self._transport is None or self._transport.is_closing():
            raise errors.Ehungup()
        self._transport.write(data)
        return self._sent(len(data)) if self._full else len(data)

    async def _sent(self, count: int) -> int:
        await self.drain()
        return count

    def _check_file(self) -> None:
        if self._holder is not None or self._receiver is not None:
            raise errors.Ebadusefd()

    # --- inside --------------------------------------------------------------------------------

    @property
    def status(self) -> str:
        """The state, in ip(3)'s words."""
        return "Established" if self._transport is not None else "Closed"

    def _throttle(self) -> None:
        """Let the peer wait while nobody takes what it has sent, or somebody asked for that."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if self._paused or self._unread > HIGH:
            transport.pause_reading()
        else:
            transport.resume_reading()

    async def _wait(self) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiters.append(turn)
        await turn

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for turn in waiters:
            if not turn.done():
                turn.set_result(None)


class Network(Protocol):
    """What the makers of connections want of the device `#I`."""

    def enter(self, net: str, conn: Conn) -> Chan:
        """Give a connection its files; returns its data file, open for reading and writing."""
        ...


def enter(system: System, net: str, conn: Conn) -> Chan:
    """Make a connection one of ``system``; returns its open data file. Errors: `Enodev`."""
    return cast(Network, system.device("I")).enter(net, conn)


async def adopt(sock: socket.socket, net: str, remote: str, local: str) -> Conn:
    """The connection of a connected socket, which is taken over, whatever happens.

    Errors: those of the host's network.
    """
    try:
        sock.setblocking(False)
        if net == "tcp":
            _watch(sock)
        conn = Conn(net, remote, local)
        loop = asyncio.get_running_loop()
        local_socket = sock.family == socket.AF_UNIX
        connect = loop.create_unix_connection if local_socket else loop.create_connection
        await connect(lambda: conn, sock=sock)
    except BaseException:
        sock.close()
        raise
    return conn


def _watch(sock: socket.socket) -> None:
    """Send small messages at once, and find out when the peer is gone without a word."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPIDLE)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPINTERVAL)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEPCOUNT)
    patience = 1000 * (KEEPIDLE + KEEPINTERVAL * KEEPCOUNT)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, patience)
