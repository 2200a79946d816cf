"""Export: a part of a name space, as the files of a 9P server (exportfs, Inferno's sys->export).

`nsh.p9.server.Session` keeps the rules of the protocol; what a request *means* is decided here, by
walking and opening Chans as any process does, with the mounts of the exporting process as they are at
that moment. The exporter stays where it is: the client sees the tree below one Chan, and ``..`` stops
there.

Files of many devices and servers meet in one export, and their qid.path values may be the same. The
client must be able to tell them apart, so `QidMap` makes every qid that goes out unique, in walks, in
stat, and in directory entries too.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from nsh import errors
from nsh.kern.chan import Chan, Maybe, settle
from nsh.kern.dev import Device
from nsh.kern.namec import WalkError, check_characters, creating_member, cross, open_chan, walk
from nsh.kern.proc import Proc
from nsh.kern.union import clone
from nsh.p9.const import QTDIR
from nsh.p9.stat import Dir, Qid

_QIDBITS = 48
_MASK = (1 << _QIDBITS) - 1
_SCATTERED = 0xFFFF << _QIDBITS
_ENTRY = struct.Struct("<H")
_PATH = struct.Struct("<Q")
_PATH_AT = 2 + 2 + 4 + 1 + 4  # where qid.path is in a packed stat record (stat(5))


class QidMap:
    """Unique qids for the files of many trees: stable, as long as the server runs.

    Each tree (device and instance) gets a number, which goes into the 16 bits above the 48 that nearly
    all servers use; the tree that is met first keeps its own qids. A path that needs more bits than
    that is numbered one by one.
    """

    def __init__(self) -> None:
        self._trees: dict[tuple[Device, int], int] = {}
        self._scattered: dict[tuple[int, int], int] = {}

    def tree(self, c: Chan) -> int:
        """The number of the tree that ``c`` is in."""
        return self._trees.setdefault((c.dev, c.instance), len(self._trees))

    def path(self, tree: int, path: int) -> int:
        """The qid.path that the client sees."""
        if path <= _MASK and tree < 0xFFFF:
            return tree << _QIDBITS | path
        number = self._scattered.setdefault((tree, path), len(self._scattered))
        return _SCATTERED | number

    def qid(self, c: Chan) -> Qid:
        """The qid of ``c``, as the client sees it."""
        return c.qid._replace(path=self.path(self.tree(c), c.qid.path))

    def entries(self, c: Chan, data: bytes) -> bytes:
        """Packed directory entries that were read from ``c``, with their qids made unique."""
        tree = self.tree(c)
        if tree == 0 and c.dev.small_qids:
            return data
        out = bytearray(data)
        at = 0
        while at < len(out):
            (path,) = _PATH.unpack_from(out, at + _PATH_AT)
            _PATH.pack_into(out, at + _PATH_AT, self.path(tree, path))
            at += 2 + _ENTRY.unpack_from(out, at)[0]
        return bytes(out)


class File:
    """What a fid of the server stands for. ``qid`` is the one that the client sees."""

    __slots__ = ("chan", "iounit", "qid")

    def __init__(self, chan: Chan, qid: Qid) -> None:
        self.chan = chan
        self.qid = qid
        self.iounit = chan.iounit


class Export:
    """The tree below ``root`` as ``proc`` sees it; implements `nsh.p9.server.Files`.

    All requests are made in the name of ``proc``: the user name that a client gives is not believed.
    """

    def __init__(self, proc: Proc, root: Chan, qids: QidMap | None = None) -> None:
        self._proc = proc
        self._root = root
        self._qids = qids if qids is not None else QidMap()
        self._qids.tree(root)

    def _file(self, c: Chan) -> File:
        return File(c, self._qids.qid(c))

    def attach(self, uname: str, aname: str) -> File:
        """attach(5). ``aname`` is not used: an export has one tree."""
        return self._file(self._root.alias(self._root.path))

    def walk(self, f: File, names: Sequence[str]) -> Maybe[tuple[File | None, list[Qid]]]:
        """walk(5): all names, some, or an error for the first one."""
        if not names:
            return self._file(f.chan.alias(f.chan.path)), []
        return self._walk(f.chan, names)

    async def _walk(self, c: Chan, names: Sequence[str]) -> tuple[File | None, list[Qid]]:
        qids: list[Qid] = []
        for i, name in enumerate(names):
            if name == ".." and c.same(self._root):
                qids.append(self._qids.qid(c))
                continue
            try:
                c = await walk(c, [name], self._proc.pgrp)
            except WalkError as e:
                if i == 0:
                    raise e.reason from None
                return None, qids
            qids.append(self._qids.qid(c))
        return self._file(c), qids

    async def open(self, f: File, mode: int) -> File:
        """open(5); what is mounted here is opened, and of a union all members."""
        seen, head = cross(f.chan, self._proc.pgrp)
        opened = await open_chan(seen, mode, self._proc.pgrp, head)
        if opened is not f.chan:
            return self._file(opened)
        # the fid keeps its File: a second one for the same Chan would be closed with the first
        f.qid, f.iounit = self._qids.qid(opened), opened.iounit
        return f

    async def create(self, f: File, name: str, perm: int, mode: int) -> File:
        """open(5), in the member of a union that takes new files."""
        if name in (".", "..", "") or "/" in name:
            raise errors.Efilename()
        check_characters(name, name)
        c = f.chan
        path = c.path
        head = self._proc.pgrp.find(c)
        if head is not None:
            path = path.over(head.covered)
            c = creating_member(head)
        elif not c.qid.type & QTDIR:
            raise errors.Enotdir()
        directory = await clone(c)
        directory.path = path
        made = await settle(directory.dev.create(directory, name, mode, perm))
        made.mode = mode
        made.path = path.child(name)
        return self._file(made)

    def read(self, f: File, count: int, offset: int) -> Maybe[bytes]:
        """read(5)."""
        c = f.chan
        if c.qid.type & QTDIR:
            return self._read_directory(c, count, offset)
        return c.dev.read(c, count, offset)

    async def _read_directory(self, c: Chan, count: int, offset: int) -> bytes:
        if c.union is None:
            data = await settle(c.dev.read(c, count, offset))
            return self._qids.entries(c, bytes(data))
        data = await c.union.read(count, offset)
        member = c.union.member
        return self._qids.entries(member, data) if member is not None else data

    def write(self, f: File, data: bytes | memoryview, offset: int) -> Maybe[int]:
        """write(5). Devices are given bytes, which they may keep."""
        c = f.chan
        return c.dev.write(c, bytes(data), offset)

    def clunk(self, f: File) -> None:
        """clunk(5)."""
        f.chan.close()

    async def remove(self, f: File) -> None:
        """remove(5), of what is mounted here; the Session clunks the fid whatever happens."""
        c, _ = cross(f.chan, self._proc.pgrp) if not f.chan.opened else (f.chan, None)
        await settle(c.dev.remove(c))

    async def stat(self, f: File) -> Dir:
        """stat(5), of what is mounted here."""
        c, _ = cross(f.chan, self._proc.pgrp) if not f.chan.opened else (f.chan, None)
        d = await settle(c.dev.stat(c))
        return d._replace(qid=d.qid._replace(path=self._qids.path(self._qids.tree(c), d.qid.path)))

    async def wstat(self, f: File, d: Dir) -> None:
        """wstat(5), of what is mounted here."""
        c, _ = cross(f.chan, self._proc.pgrp) if not f.chan.opened else (f.chan, None)
        await settle(c.dev.wstat(c, d))
