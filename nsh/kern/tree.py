"""Tree: an export as Linux is to see it, with all that is known of the host's own files.

Between the name space and FUSE there is no 9P, so what 9P has no words for need not be lost: where a device
is a `nsh.kern.native.Native`, that is asked; of everything else a `Tree` tells what an export tells. What is
mounted somewhere is a directory or a plain file there, whatever it is on the host: Linux would follow a
link to another place than the one that was bound, and would not let us serve a device.
"""

from __future__ import annotations

import contextlib
import os
import stat
from errno import EPERM, EXDEV

from nsh.kern.chan import Chan, Maybe, settle, soon
from nsh.kern.export import Export, File
from nsh.kern.namec import create_in, creating_member
from nsh.kern.native import Change, Entry, Known, Native
from nsh.p9.const import QTDIR
from nsh.p9.files import Soon
from nsh.p9.stat import Dir, Qid, unpack_dirs

LISTING = 1 << 16
"""Bytes of directory entries that are asked for at a time."""


def inode(path: int) -> int:
    """The number of a file with this qid.path; 0 would mean that there is no file."""
    return path or 1 << 62


class Tree(Export):
    """What a FUSE session is given. Errors: those of the devices, and EPERM where there is no such thing."""

    def known(self, f: File) -> Soon[Known]:
        """What is known of a file; of a symbolic link, itself."""
        c = self._seen(f)
        native = c.dev.native
        if native is None:
            d = self.stat(f)
            return _known(d) if type(d) is Dir else _known_later(d)
        follow = c is not f.chan or self._is_root(c)
        found = native.known(c, follow)
        return self._told(c, found, follow) if type(found) is Known else self._told_later(c, found, follow)

    async def _told_later(self, c: Chan, found: Maybe[Known], follow: bool) -> Known:
        return self._told(c, await settle(found), follow)

    def _told(self, c: Chan, known: Known, follow: bool) -> Known:
        d, number, host = known
        if follow and host is not None and stat.S_IFMT(host.st_mode) not in (stat.S_IFDIR, stat.S_IFREG):
            host = None
        return Known(self._dir(c, d), inode(self._qids.path(c, number)), host)

    async def listing(self, f: File) -> list[Entry]:
        """What is in the open directory ``f``, of a union what is in each of its members."""
        c = f.chan
        if c.union is None:
            return await self._list(c)
        found: list[Entry] = []
        member = None
        while (member := await c.union.after(member)) is not None:
            with contextlib.suppress(OSError):  # as a union is read
                found += await self._list(member)
        return found

    async def _list(self, c: Chan) -> list[Entry]:
        if c.dev.native is not None:
            entries = await settle(c.dev.native.listing(c))
            return [e._replace(number=inode(self._qids.path(c, e.number))) for e in entries]
        found: list[Entry] = []
        at = 0
        while data := await settle(c.dev.read(c, LISTING, at)):
            at += len(data)
            dirs = unpack_dirs(self._qids.entries(c, bytes(data)))
            found += [Entry(d.name, inode(d.qid.path), _kind(d.qid)) for d in dirs]
        return found

    def statvfs(self, f: File) -> Soon[os.statvfs_result | None]:
        """The file system of the host that a file is on, or the first member of a union that is on one."""
        head = self._proc.pgrp.find(f.chan)
        for c in (f.chan,) if head is None else (m.to for m in head.mounts):
            if c.dev.native is not None:
                return soon(c.dev.native.statvfs(c))
        return None

    def access(self, f: File, mask: int) -> Soon[bool]:
        """What access(2) says of a file of which the host is known to know."""
        c = self._seen(f)
        return soon(_native(c).access(c, mask))

    def is_native(self, directory: File) -> bool:
        """Will a file that is made there be the host's? Errors: `Enocreate`."""
        return self._making(directory).dev.native is not None

    async def create(self, f: File, name: str, perm: int, mode: int) -> File:
        """open(5); a file of the host may have any name that Linux allows."""
        if not self.is_native(f):
            return await super().create(f, name, perm, mode)
        return self._file(await create_in(f.chan, self._proc.pgrp, name, mode, perm))

    def readlink(self, f: File) -> Soon[str]:
        """What a symbolic link says."""
        return soon(_native(f.chan).readlink(f.chan))

    def symlink(self, directory: File, name: str, target: str) -> Soon[None]:
        """Make a symbolic link."""
        where = self._making(directory)
        return soon(_native(where).symlink(where, name, target))

    def link(self, f: File, directory: File, name: str) -> Soon[None]:
        """Give a file another name. Errors: EXDEV, if that would be in another tree."""
        c, where = self._seen(f), self._making(directory)
        if c.dev is not where.dev:
            raise OSError(EXDEV, os.strerror(EXDEV))
        return soon(_native(c).link(c, where, name))

    def mknod(self, directory: File, name: str, mode: int, device: int) -> Soon[None]:
        """Make a FIFO, a socket or a device."""
        where = self._making(directory)
        return soon(_native(where).mknod(where, name, mode, device))

    def change(self, f: File, change: Change) -> Soon[None]:
        """Change a file of which the host is known to know."""
        c = self._seen(f)
        return soon(_native(c).change(c, change))

    async def rename(self, f: File, directory: File | None, name: str, replace: bool) -> bool:
        """Give a file another name in ``directory``, or where it is, if the host can do that.

        False if it cannot: then nothing was done.
        """
        c = f.chan
        native = c.dev.native
        where = None if directory is None else self._making(directory)
        if native is None or self._seen(f) is not c or (where is not None and where.dev is not c.dev):
            return False
        await settle(native.rename(c, where, name, replace))
        return True

    def _making(self, directory: File) -> Chan:
        """The directory itself, or that member of a union which takes new files. Errors: `Enocreate`."""
        c = directory.chan
        head = self._proc.pgrp.find(c)
        return c if head is None else creating_member(head)


def _native(c: Chan) -> Native:
    native = c.dev.native
    if native is None:
        raise OSError(EPERM, os.strerror(EPERM))
    return native


def _known(d: Dir) -> Known:
    return Known(d, inode(d.qid.path))


async def _known_later(d: Soon[Dir]) -> Known:
    return _known(await settle(d))


def _kind(qid: Qid) -> int:
    return stat.S_IFDIR if qid.type & QTDIR else stat.S_IFREG
