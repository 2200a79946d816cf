"""Export: a part of a name space, as the files of a 9P server (exportfs, Inferno's sys->export).

`nsh.p9.server.Session` keeps the rules of the protocol; what a request *means* is decided here, by
walking and opening Chans as any process does, with the mounts of the exporting process as they are at
that moment. The exporter stays where it is: the client sees the tree below one Chan, and ``..`` stops
there.

Files of many devices and servers meet in one export. The client must be able to tell them apart, so
every qid that goes out is made unique, in walks, in stat, and in directory entries too (`nsh.kern.qidmap`).
"""

from __future__ import annotations

from collections.abc import Sequence

from nsh import errors
from nsh.kern.chan import Chan, Maybe, settle
from nsh.kern.namec import WalkError, check_characters, check_element, creating_member, cross, open_chan, walk
from nsh.kern.proc import Proc
from nsh.kern.union import clone
from nsh.p9.const import QTDIR
from nsh.p9.stat import Dir, Qid


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

    def __init__(self, proc: Proc, root: Chan) -> None:
        self._proc = proc
        self._root = root
        self._qids = proc.system.qids
        self._qids.qid(root)  # the first tree that is exported keeps its own qids

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
            c = creating_member(head)
            path = path.over(head, c.path)
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
        return d._replace(qid=d.qid._replace(path=self._qids.path(c, d.qid.path)))

    async def wstat(self, f: File, d: Dir) -> None:
        """wstat(5), of what is mounted here."""
        check_element(d.name)
        c, _ = cross(f.chan, self._proc.pgrp) if not f.chan.opened else (f.chan, None)
        await settle(c.dev.wstat(c, d))
