"""Open descriptors of the host as Chans: the shell's own 0, 1 and 2, and the pipes between programs.

A descriptor that was inherited, or that a host program will inherit, is shared with that program: setting
O_NONBLOCK on it would change it under the other's feet. So it stays as it is. Where a read or a write may
have to wait (pipes, terminals, sockets) a second way to the same file is used, that is ours alone: the
file is opened once more through /proc, without blocking. Where the kernel does not allow that, nothing
is tried before the descriptor says that it is ready. A regular file that may take long is read and written
by threads (`nsh.dev.patience`).

A Chan of this device is a stream: it reads and writes where the host's descriptor stands, whatever offset
it is asked for, because the position is shared with other programs too.
"""

from __future__ import annotations

import asyncio
import enum
import errno
import os
import socket
import stat
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from nsh import errors
from nsh.dev import libc
from nsh.dev.hostmounts import may_be_slow
from nsh.dev.patience import Place, patiently
from nsh.kern.chan import Chan, Maybe, Path
from nsh.kern.dev import Device
from nsh.kern.proc import Proc, System
from nsh.p9.const import ORDWR, OREAD, OWRITE
from nsh.p9.stat import Dir, Qid

T = TypeVar("T")

_MODES = {os.O_RDONLY: OREAD, os.O_WRONLY: OWRITE, os.O_RDWR: ORDWR}


class Kind(enum.Enum):
    """How a descriptor is read and written."""

    FILE = "a regular file: answers as fast as its disk, or may take long"
    DEVICE = "answers at once"
    STREAM = "may have to wait: a pipe, a terminal"
    SOCKET = "may have to wait, and can be told not to"


def _kind(fd: int) -> Kind:
    mode = os.fstat(fd).st_mode
    if stat.S_ISREG(mode):
        return Kind.FILE
    if stat.S_ISSOCK(mode):
        return Kind.SOCKET
    return Kind.STREAM if stat.S_ISFIFO(mode) or os.isatty(fd) else Kind.DEVICE


class HostFd:
    """One open descriptor.

    ``own``: it is closed with the Chan; ``broken``: a write found nobody to read; ``terminal``: is it one?
    ``place``: where one may have to wait for the file, which is a regular one then.
    """

    __slots__ = ("_again", "_reading", "_writing", "broken", "fd", "kind", "own", "place", "terminal")

    def __init__(self, fd: int, own: bool, place: Place | None = None) -> None:
        self.fd = fd
        self.own = own
        self.broken = False
        self.kind = _kind(fd)
        self.place = place
        self.terminal = self.kind is Kind.STREAM and os.isatty(fd)
        self._again: int | None = None  # the same file, opened once more; -1 when it could not be
        self._reading = asyncio.Lock()
        self._writing = asyncio.Lock()

    def close(self) -> None:
        if self._again is not None and self._again >= 0:
            os.close(self._again)
        self._again = -1
        if self.own:
            os.close(self.fd)

    # --- reading -------------------------------------------------------------------------------

    def read(self, count: int) -> Maybe[bytes]:
        if self.place is not None:
            return patiently(self.place, partial(libc.read, self.fd, count))
        if self._reading.locked():
            return self._read_later(count)
        try:
            return self._read_now(count)
        except BlockingIOError:
            return self._read_later(count)

    async def read_terminal(self, count: int, allowed: Callable[[], Awaitable[None]]) -> bytes:
        """Read a terminal, which others may have meanwhile: before each attempt ``allowed`` is awaited.

        One who may not read now must not be in the way of another: each waits with a descriptor of its own.
        """
        while True:
            await allowed()
            try:
                return self._read_now(count)
            except BlockingIOError:
                polled = self._again is None or self._again < 0
                fd = os.dup(self.fd if polled else self._nonblocking())
            try:
                await _ready(fd, False)
                await allowed()
                if polled:
                    return os.read(fd, count)
            finally:
                os.close(fd)

    async def _read_later(self, count: int) -> bytes:
        async with self._reading:
            if self.kind in (Kind.FILE, Kind.DEVICE):
                return await asyncio.to_thread(os.read, self.fd, count)
            return await self._when_ready(False, lambda: self._read_now(count), lambda fd: os.read(fd, count))

    def _read_now(self, count: int) -> bytes:
        """What is there; BlockingIOError when one would have to wait."""
        if self.kind is Kind.SOCKET:
            with _Socket(self.fd) as s:
                return s.recv(count, socket.MSG_DONTWAIT)
        if self.kind is Kind.STREAM:
            return os.read(self._nonblocking(), count)
        buffer = bytearray(count)
        try:
            got = os.preadv(self.fd, [buffer], -1, os.RWF_NOWAIT)
        except BlockingIOError:
            raise
        except OSError:  # a device, or a file system, that does not know about not waiting
            return os.read(self.fd, count)
        return bytes(memoryview(buffer)[:got])

    # --- writing -------------------------------------------------------------------------------

    def write(self, data: bytes) -> Maybe[int]:
        if self.place is not None:
            return patiently(self.place, partial(libc.write, self.fd, bytes(data)))
        if self._writing.locked():
            return self._write_later(data, 0)
        try:
            taken = self._write_now(data)
        except BlockingIOError:
            taken = 0
        return taken if taken == len(data) else self._write_later(data, taken)

    async def _write_later(self, data: bytes, taken: int) -> int:
        """Write the rest; a descriptor takes all of a write, or fails."""
        async with self._writing:
            view = memoryview(data)[taken:]
            while view:
                # what can only be polled takes a page without blocking
                done = await self._when_ready(
                    True, partial(self._write_now, view), partial(_swapped_write, view[:4096])
                )
                view = view[done:]
            return len(data)

    def _write_now(self, data: bytes | memoryview) -> int:
        if self.kind is Kind.SOCKET:
            with _Socket(self.fd) as s:
                return s.send(data, socket.MSG_DONTWAIT)
        if self.kind is Kind.STREAM:
            return os.write(self._nonblocking(), data)
        return os.write(self.fd, data)

    # --- waiting -------------------------------------------------------------------------------

    def _nonblocking(self) -> int:
        """A descriptor that does not block. BlockingIOError: there is none, wait until `fd` is ready."""
        if self._again is None:
            flags = os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
            try:
                self._again = os.open(f"/proc/self/fd/{self.fd}", _access(self.fd) | flags)
            except OSError as e:
                if e.errno == errno.ENXIO:  # a pipe that nobody reads any more
                    raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)) from None
                self._again = -1
        if self._again < 0:
            raise BlockingIOError
        return self._again

    async def _when_ready(self, writing: bool, now: Callable[[], T], blocking: Callable[[int], T]) -> T:
        """Try ``now`` until it need not wait. Else ``blocking``, once it is ready."""
        while True:
            try:
                return now()
            except BlockingIOError:
                pass
            polled = self.kind is Kind.STREAM and self._again == -1
            fd = self._again if self._again is not None and not polled else self.fd
            await _ready(fd, writing)
            if polled:
                return blocking(fd)


class _Socket:
    """A socket object for a descriptor that goes on to belong to somebody else."""

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=fd)

    def __enter__(self) -> socket.socket:
        return self._socket

    def __exit__(self, *exc: object) -> None:
        self._socket.detach()


def _swapped_write(data: memoryview, fd: int) -> int:
    return os.write(fd, data)


def _access(fd: int) -> int:
    import fcntl

    return fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE


async def _ready(fd: int, writing: bool) -> None:
    """Wait until a descriptor can be read or written."""
    loop = asyncio.get_running_loop()
    ready = loop.create_future()

    def wake() -> None:
        done()  # now: the one who waits may be stopped, and not come back for long
        if not ready.done():
            ready.set_result(None)

    def done() -> None:
        if writing:
            loop.remove_writer(fd)
        else:
            loop.remove_reader(fd)

    if writing:
        loop.add_writer(fd, wake)
    else:
        loop.add_reader(fd, wake)
    try:
        await ready
    finally:
        done()


class HostFdDevice(Device):
    """`#f`: made by `chan`; there is nothing to attach."""

    letter, name = "f", "hostfd"

    screen: Callable[[HostFd, bytes], Awaitable[int]] | None = None
    """Set while a line is edited: writes to a terminal without destroying that line; see `nsh.rc.screen`."""

    reading: Callable[[], Awaitable[None]] | None = None
    """Set where there is job control: waits until a process may read a terminal."""

    def __init__(self, system: System) -> None:
        super().__init__(system)
        self._opened = 0

    @classmethod
    def of(cls, system: System) -> HostFdDevice:
        """The one of ``system``, for those who have descriptors to make Chans of."""
        device = system.device("f")
        assert isinstance(device, cls)
        return device

    def attach(self, spec: str) -> Chan:
        raise errors.Enoattach()

    def chan(self, fd: int, name: str = "", own: bool = True, place: Place | None = None) -> Chan:
        """An open Chan for the descriptor ``fd``, which it owns unless said otherwise. Errors: OSError.

        ``place``: where one may have to wait for its file.
        """
        mode = _MODES[_access(fd)]
        self._opened += 1
        c = Chan(self, Qid(0, 0, self._opened), Path(None, name or f"#f/{fd}"), HostFd(fd, own, place))
        c.mode = mode
        return c

    def inherit(self, p: Proc) -> None:
        """Give a freshly booted process the descriptors 0, 1 and 2 of this program, where they are open."""
        import fcntl

        for fd in range(3):
            try:
                there = not fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_PATH  # else we were started without it
            except OSError:
                continue
            if there:
                name = f"/fd/{fd}"
                regular = stat.S_ISREG(os.fstat(fd).st_mode)
                place = Place(name) if regular and may_be_slow(fd) else None
                p.fgrp.put(fd, self.chan(fd, name, own=False, place=place))

    def pipe(self) -> tuple[Chan, Chan]:
        """Both ends of a new pipe of the host: the one to read from, the one to write to."""
        reading, writing = os.pipe()
        return self.chan(reading, "#|"), self.chan(writing, "#|")

    def fileno(self, c: Chan) -> int:
        host: HostFd = c.aux
        return host.fd

    def open(self, c: Chan, mode: int) -> Chan:
        raise errors.Eperm()

    def walk(self, c: Chan, names: list[str]) -> tuple[Chan | None, list[Qid]]:
        raise errors.Enotdir()

    def create(self, c: Chan, name: str, mode: int, perm: int) -> Maybe[Chan]:
        raise errors.Enotdir()

    def remove(self, c: Chan) -> Maybe[None]:
        raise errors.Eperm()

    def wstat(self, c: Chan, d: Dir) -> Maybe[None]:
        raise errors.Eperm()

    def read(self, c: Chan, count: int, offset: int) -> Maybe[bytes]:
        host: HostFd = c.aux
        if host.terminal and self.reading is not None:
            return _translated(host.read_terminal(count, self.reading), host)
        try:
            data = host.read(count)
        except OSError as e:
            raise _error(e, host) from None
        return data if isinstance(data, bytes) else _translated(data, host)

    def write(self, c: Chan, data: bytes, offset: int) -> Maybe[int]:
        host: HostFd = c.aux
        if host.terminal and self.screen is not None:
            return _translated(self.screen(host, data), host)
        try:
            taken = host.write(data)
        except OSError as e:
            raise _error(e, host) from None
        return taken if isinstance(taken, int) else _translated(taken, host)

    def close(self, c: Chan) -> None:
        c.aux.close()

    def seekable(self, c: Chan) -> bool:
        host: HostFd = c.aux
        return host.kind is Kind.FILE

    def stat(self, c: Chan) -> Maybe[Dir]:
        host: HostFd = c.aux
        if host.place is not None:
            return self._stat_patiently(c, host.place, host.fd)
        return self._dir(c, os.fstat(host.fd))

    async def _stat_patiently(self, c: Chan, place: Place, fd: int) -> Dir:
        return self._dir(c, await patiently(place, partial(os.fstat, fd)))

    def _dir(self, c: Chan, st: os.stat_result) -> Dir:
        length = st.st_size if stat.S_ISREG(st.st_mode) else 0
        times = int(st.st_atime), int(st.st_mtime)
        perm = st.st_mode & 0o777
        name = str(c.path).rpartition("/")[2]
        return Dir(ord(self.letter), 0, c.qid, perm, *times, length, name, self.eve, self.eve, self.eve)


async def _translated(result: Awaitable[T], host: HostFd) -> T:
    """A result that has to be waited for, with the host's errors in Plan 9's words."""
    try:
        return await result
    except OSError as e:
        raise _error(e, host) from None


def _error(e: OSError, host: HostFd) -> OSError:
    if e.errno != errno.EPIPE:
        return errors.from_os(e)
    host.broken = True
    return errors.Ewclosed()


def broken(c: Chan) -> bool:
    """Has a write to this pipe found that nobody reads it any more?"""
    return isinstance(c.aux, HostFd) and c.aux.broken
