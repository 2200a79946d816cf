"""The system calls: what a program can ask of the kernel, as methods that every `Proc` has.

They are those of section 2 of the manual: open(2) bind(2) dup(2) pipe(2) stat(2) and so on, with
descriptors (small numbers), names, and Plan 9's flags. Errors are `nsh.errors.P9Error`.
"""

from __future__ import annotations

import asyncio
from types import CoroutineType
from typing import TYPE_CHECKING, Protocol, cast

from nsh import errors
from nsh.kern.chan import Chan, settle
from nsh.kern.mnt import MCACHE
from nsh.kern.namec import Access, check_element, create, namec
from nsh.kern.stream import write_all
from nsh.p9 import const
from nsh.p9.const import ORDWR, OREAD, OTRUNC, OWRITE, QTDIR
from nsh.p9.stat import Dir, unpack_dirs

if TYPE_CHECKING:
    from nsh.kern.fgrp import Fgrp
    from nsh.kern.pgrp import Pgrp
    from nsh.kern.proc import Proc, System

DIRREADLEN = 65536
"""Bytes of directory entries that are read at a time."""


TURNS = 64
"""Calls after which everything else gets a chance to run."""


class MountDriver(Protocol):
    """What the kernel wants of the device `#M`."""

    async def connect(self, conn: Chan, uname: str, aname: str, cached: bool = False) -> Chan:
        """Speak 9P over ``conn`` and attach; returns the root of the served tree.

        ``cached``: data of its files may be kept (MCACHE).
        """
        ...


class Syscalls:
    """The calls of a process; `nsh.kern.proc.Proc` is the process."""

    __slots__ = ("calls",)

    system: System
    user: str
    slash: Chan
    dot: Chan
    pgrp: Pgrp
    fgrp: Fgrp
    calls: int

    # --- files ---------------------------------------------------------------------------------

    async def open(self, name: str, mode: int = OREAD) -> int:
        """open(2): a descriptor for ``name``; ``mode`` is OREAD, OWRITE, ORDWR or OEXEC, with OTRUNC, ..."""
        return self.fgrp.new(await self._namec(name, Access.OPEN, mode))

    async def create(self, name: str, mode: int = OWRITE, perm: int = 0o666) -> int:
        """create(2): make ``name``, or truncate it, and open it. ``perm`` with DMDIR makes a directory."""
        return self.fgrp.new(await create(self._proc(), name, mode, perm))

    def close(self, fd: int) -> None:
        """close(2)."""
        self.fgrp.close(fd)

    async def read(self, fd: int, count: int = 8192) -> bytes:
        """read(2): at most ``count`` bytes from where the descriptor stands; empty at the end."""
        c = self._readable(fd)
        data = await self._pread(c, count, c.offset)
        c.offset += len(data)
        return data

    async def pread(self, fd: int, count: int, offset: int) -> bytes:
        """pread(2): like `read`, at ``offset``; the descriptor stays where it is."""
        return await self._pread(self._readable(fd), count, offset)

    async def write(self, fd: int, data: bytes) -> int:
        """write(2): all of ``data``, where the descriptor stands; returns its length."""
        c = self._writable(fd)
        taken = c.dev.write(c, data, c.offset)
        if isinstance(taken, CoroutineType):
            taken = await taken
        taken = cast(int, taken)
        c.offset += taken
        if taken < len(data):
            await write_all(c, data[taken:])
        await self._turn()
        return len(data)

    async def pwrite(self, fd: int, data: bytes, offset: int) -> int:
        """pwrite(2): like `write`, at ``offset``; returns the bytes taken."""
        c = self._writable(fd)
        return await settle(c.dev.write(c, data, offset))

    async def seek(self, fd: int, offset: int, whence: int = 0) -> int:
        """seek(2): ``whence`` 0, 1, 2 counts from the start, from here, from the end; the new offset."""
        c = self.fgrp.get(fd)
        if whence == 1:
            offset += c.offset
        elif whence == 2:
            offset += (await settle(c.dev.stat(c))).length
        elif whence != 0:
            raise errors.Ebadarg()
        if offset < 0:
            raise errors.Enegoffset()
        if c.qid.type & QTDIR and offset != 0:
            raise errors.Eisdir()
        c.offset = offset
        return offset

    def dup(self, old: int, new: int = -1) -> int:
        """dup(2): another number for an open file; ``new`` -1: the lowest free one."""
        c = self.fgrp.get(old).incref()
        if new < 0:
            return self.fgrp.new(c)
        self.fgrp.put(new, c)
        return new

    async def pipe(self) -> tuple[int, int]:
        """pipe(2): two descriptors; what is written to one is read from the other."""
        one, other = await self.system.pipe()
        return self.fgrp.new(one), self.fgrp.new(other)

    async def stat(self, name: str) -> Dir:
        """stat(2)."""
        c = await self._namec(name, Access.ACCESS)
        return await settle(c.dev.stat(c))

    async def fstat(self, fd: int) -> Dir:
        """stat(2) of an open file."""
        c = self.fgrp.get(fd)
        return await settle(c.dev.stat(c))

    async def wstat(self, name: str, d: Dir) -> None:
        """wstat(2): change what ``d`` does not leave at its "don't touch" value."""
        check_element(d.name)
        c = await self._namec(name, Access.ACCESS)
        await settle(c.dev.wstat(c, d))

    async def fwstat(self, fd: int, d: Dir) -> None:
        """wstat(2) of an open file."""
        check_element(d.name)
        c = self.fgrp.get(fd)
        await settle(c.dev.wstat(c, d))

    async def remove(self, name: str) -> None:
        """remove(2). The name of a mount point removes what is mounted there."""
        c = await self._namec(name, Access.REMOVE)
        await settle(c.dev.remove(c))

    # --- the name space ------------------------------------------------------------------------

    async def bind(self, new: str, old: str, flag: int, *, under: bool = False) -> int:
        """bind(2): let ``new`` be seen at ``old``; flag MREPL, MBEFORE or MAFTER, with MCREATE.

        ``under``: where something is mounted at ``new``, the file itself is meant that lies under it.
        """
        source = await self._namec(new, Access.MOUNT if under else Access.BIND)
        target = await self._namec(old, Access.MOUNT)
        return self.pgrp.mount(source, target, flag)

    async def mount(self, fd: int, old: str, flag: int, aname: str = "") -> int:
        """mount(2): the tree ``aname`` of the 9P server at the other end of ``fd``, seen at ``old``.

        ``flag``: as for `bind`, with MCACHE to keep data that was read for the next reader.
        """
        if self.pgrp.nodevs:
            raise errors.Enoattach()
        conn = self.fgrp.get(fd)
        driver = cast(MountDriver, self.system.device("M"))
        root = await driver.connect(conn, self.user, aname, bool(flag & MCACHE))
        target = await self._namec(old, Access.MOUNT)
        return self.pgrp.mount(root, target, flag, aname)

    async def unmount(self, new: str | None, old: str) -> None:
        """unmount(2): uncover ``old``, or take the member ``new`` away from it."""
        target = await self._namec(old, Access.MOUNT)
        if new is None:
            self.pgrp.unmount(target)
            return
        source = await self._namec(new, Access.OPEN, OREAD)
        try:
            self.pgrp.unmount(target, source)
        finally:
            source.close()

    async def chdir(self, name: str) -> None:
        """chdir(2): stand in ``name``, on its covered side. It moves this process and no other."""
        self._proc().dot = await self._namec(name, Access.TODIR)

    def getwd(self) -> str:
        """The name of the current directory, as one came to it."""
        return str(self.dot.path)

    # --- conveniences --------------------------------------------------------------------------

    async def readfile(self, name: str) -> bytes:
        """The whole content of ``name``."""
        fd = await self.open(name)
        try:
            return await self.readall(fd)
        finally:
            self.close(fd)

    async def readall(self, fd: int) -> bytes:
        """Everything from where ``fd`` stands to the end."""
        parts = []
        while data := await self.read(fd, DIRREADLEN):
            parts.append(data)
        return b"".join(parts)

    async def writefile(self, name: str, data: bytes, mode: int = OWRITE | OTRUNC) -> None:
        """Open the existing file ``name`` and write ``data`` in one write."""
        fd = await self.open(name, mode)
        try:
            await self.write(fd, data)
        finally:
            self.close(fd)

    async def readdir(self, name: str) -> list[Dir]:
        """The entries of the directory ``name``, in the order of its server, unions with duplicates."""
        fd = await self.open(name)
        try:
            if not self.fgrp.get(fd).qid.type & QTDIR:
                raise errors.Enotdir()
            return await self.dirreadall(fd)
        finally:
            self.close(fd)

    async def dirreadall(self, fd: int) -> list[Dir]:
        """The entries of the open directory ``fd`` from where it stands. Errors: `Enoend`."""
        entries: list[Dir] = []
        size = 0
        while data := await self.read(fd, DIRREADLEN):
            entries.extend(unpack_dirs(data))
            size += len(data)
            if size > const.DIRMAX:
                raise errors.Enoend()
        return entries

    async def print(self, text: str, fd: int = 1) -> None:
        """Write text to a descriptor, standard output if not said otherwise."""
        await self.write(fd, text.encode("utf-8", "surrogateescape"))

    # --- inside --------------------------------------------------------------------------------

    async def _turn(self) -> None:
        """One more call. A program whose calls never wait must not keep everybody else waiting."""
        self.calls += 1
        if self.calls >= TURNS:
            self.calls = 0
            await asyncio.sleep(0)

    def _proc(self) -> Proc:
        return cast("Proc", self)

    async def _namec(self, name: str, access: Access, mode: int = 0) -> Chan:
        await self._turn()
        return await namec(self._proc(), name, access, mode)

    def _readable(self, fd: int) -> Chan:
        c = self.fgrp.get(fd)
        if c.mode & 3 == OWRITE or c.mchan is c:
            raise errors.Ebadusefd()
        return c

    def _writable(self, fd: int) -> Chan:
        c = self.fgrp.get(fd)
        if c.mode & 3 not in (OWRITE, ORDWR) or c.mchan is c:
            raise errors.Eisdir() if c.qid.type & QTDIR else errors.Ebadusefd()
        return c

    async def _pread(self, c: Chan, count: int, offset: int) -> bytes:
        if offset < 0:
            raise errors.Enegoffset()
        await self._turn()
        if c.union is not None:
            return await c.union.read(count, offset)
        data = c.dev.read(c, count, offset)
        return data if isinstance(data, bytes) else await data
