"""Connections that need no dialling: a descriptor that is open already, and a program that is started.

``fd!N`` is descriptor N of the process, ``fd!R!W`` one to read from and one to write to (the standard
input and output of an inetd service, or of sshd's child, are ``fd!0!1``); a number that the process does
not know is looked for among those that nsh was started with. ``exec!command`` runs a command of the shell
whose standard input and output are the connection (``exec!ssh gateway nsh -c 'export / fd!0!1'``).
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import select
import socket
import stat
from collections.abc import Iterable
from typing import cast

from nsh import errors
from nsh.dev.hostfd import HostFdDevice
from nsh.kern.chan import Chan
from nsh.kern.proc import RFFDG, Proc
from nsh.net.conn import Conn, adopt, enter
from nsh.p9.const import ORDWR

GRACE = 1.0
"""Seconds for a program to end by itself when its connection is closed."""


async def connection(p: Proc, net: str, what: str) -> Chan:
    """The connection ``net!what``, open for reading and writing.

    Errors: `Ebadaddr`, `Ebadfd`, `Ebadusefd`, `P9Error` when there is no shell to run the command.
    """
    return await (_program(p, what) if net == "exec" else _descriptors(p, what))


async def _program(p: Proc, command: str) -> Chan:
    if p.system.shell is None:
        raise errors.P9Error("no shell to run a command")
    run = p.system.shell
    ours, theirs = socket.socketpair()
    try:
        conn = await adopt(ours, "exec", command, f"pid {os.getpid()}")
        end = HostFdDevice.of(p.system).chan(theirs.fileno(), "#|")
    except BaseException:
        theirs.close()
        raise
    theirs.detach()
    child = p.fork(RFFDG)
    child.args = ["{" + command + "}"]
    child.fgrp.put(0, end)
    child.fgrp.put(1, end.incref())
    child.atexit(p.leader.atexit(child.kill))
    child.start(lambda child: run(child, command))

    def hung_up() -> None:
        if child.status is None:
            child.atexit(asyncio.get_running_loop().call_later(GRACE, child.kill).cancel)

    conn.at_end = hung_up
    return enter(p.system, "unix", conn)


async def _descriptors(p: Proc, text: str) -> Chan:
    numbers = text.split("!")
    if len(numbers) > 2 or not all(n.isascii() and n.isdecimal() for n in numbers):
        raise errors.Ebadaddr()
    chans = [_open(p, int(n)) for n in numbers]
    try:
        if any(c.dev.seekable(c) for c in chans):
            raise errors.Ebadusefd()  # a regular file is no stream, and even to ask for that may take long
        files = [c.dev.fileno(c) for c in chans]
        if None not in files:
            conn = await _of_host(text, cast(list[int], files))
        elif len(chans) == 1 and chans[0].mode & 3 == ORDWR:
            return chans[0].incref()  # a connection of our own: a pipe, a network connection
        else:
            raise errors.Ebadusefd()
    finally:
        for c in chans:
            c.close()
    return enter(p.system, "unix", conn)


def _open(p: Proc, number: int) -> Chan:
    """The open file ``number`` of ``p``, or of those that this program was started with."""
    try:
        return p.fgrp.get(number).incref()
    except errors.Ebadfd:
        try:
            if not os.get_inheritable(number):  # one of our own making
                raise
            return HostFdDevice.of(p.system).chan(number, f"/fd/{number}", own=False)
        except (OSError, OverflowError):
            raise errors.Ebadfd() from None


async def _of_host(name: str, files: list[int]) -> Conn:
    """The connection that descriptors of the host are; they stay as they are, and open."""
    _check(files[0], os.O_WRONLY)
    _check(files[-1], os.O_RDONLY)
    if all(stat.S_ISSOCK(os.fstat(fd).st_mode) for fd in files) and _are_one(files):
        return await adopt(socket.socket(fileno=os.dup(files[0])), "fd", name, name)
    conn = Conn("fd", name, name)
    await _Both(conn).open(files[0], files[-1])
    return conn


def _check(fd: int, wrong: int) -> None:
    """Raise `Ebadusefd` for what is open in the ``wrong`` mode only, and for what is no stream.

    A stream can be waited for; a file, a directory and /dev/null cannot.
    """
    with select.epoll() as poll:
        try:
            poll.register(fd, 0)
        except PermissionError:
            raise errors.Ebadusefd() from None
    if fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE == wrong:
        raise errors.Ebadusefd()


def _are_one(files: Iterable[int]) -> bool:
    return len({os.fstat(fd).st_ino for fd in files}) == 1


class _Both(asyncio.Transport):
    """A transport that reads from one descriptor and writes to another; ``conn`` is its protocol."""

    def __init__(self, conn: Conn) -> None:
        super().__init__()
        self._conn = conn
        self._ends = 0  # of the two, how many have ended
        self._reason: Exception | None = None

    async def open(self, reading: int, writing: int) -> None:
        loop = asyncio.get_running_loop()
        source, drain = open(os.dup(reading), "rb", 0), open(os.dup(writing), "wb", 0)
        try:
            self._writing, _ = await loop.connect_write_pipe(lambda: _Writing(self, self._conn), drain)
            self._reading, _ = await loop.connect_read_pipe(lambda: _Reading(self, self._conn), source)
        except BaseException:
            source.close()
            drain.close()
            raise
        self._conn.connection_made(self)

    def ended(self, reason: Exception | None) -> None:
        """One of the two has; the other one follows."""
        self._ends += 1
        self._reason = self._reason or reason
        if self._ends == 2:
            self._conn.connection_lost(self._reason)
        else:
            self._conn.close()

    def pause_reading(self) -> None:
        self._reading.pause_reading()

    def resume_reading(self) -> None:
        self._reading.resume_reading()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._writing.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        return self._writing.get_write_buffer_size()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._writing.write(data)

    def is_closing(self) -> bool:
        return self._writing.is_closing()

    def close(self) -> None:
        self._reading.close()
        self._writing.close()

    def abort(self) -> None:
        self._reading.close()
        self._writing.abort()


class _Reading(asyncio.Protocol):
    """Hands on what a descriptor delivers."""

    def __init__(self, both: _Both, conn: Conn) -> None:
        self.data_received = conn.data_received  # type: ignore[method-assign]
        self.connection_lost = both.ended  # type: ignore[method-assign,assignment]


class _Writing(asyncio.Protocol):
    """Hands on how far a descriptor takes what is written."""

    def __init__(self, both: _Both, conn: Conn) -> None:
        self.pause_writing = conn.pause_writing  # type: ignore[method-assign]
        self.resume_writing = conn.resume_writing  # type: ignore[method-assign]
        self.connection_lost = both.ended  # type: ignore[method-assign,assignment]
