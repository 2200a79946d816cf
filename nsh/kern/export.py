"""Export: a part of a name space, as the files of a 9P server (exportfs, Inferno's sys->export).

`nsh.p9.server.Session` keeps the rules of the protocol; what a request *means* is decided here, by
walking and opening Chans as any process does, with the mounts of the exporting process as they are at
that moment. The exporter stays where it is: the client sees the tree below one Chan, and ``..`` stops
there.

A request that no device has to wait for is answered at once, without a coroutine: that is the way of
nearly all of them. Each has a second function, for the rest.

Files of many devices and servers meet in one export. The client must be able to tell them apart, so
every qid that goes out is made unique, in walks, in stat, and in directory entries too (`nsh.kern.qidmap`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import CoroutineType
from typing import TypeAlias, cast

from nsh import errors
from nsh.kern.chan import Chan, Maybe, settle, soon
from nsh.kern.namec import check_characters, check_element, create_in, cross, open_chan, step
from nsh.kern.proc import Proc
from nsh.kern.qidmap import QidMap
from nsh.p9.const import QTDIR
from nsh.p9.files import Soon
from nsh.p9.stat import Dir, Qid

_UNTOUCHED = Dir.dont_touch()

Walked: TypeAlias = "tuple[File | None, list[Qid]]"


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
    ``qids``: what makes qids unique, if not that of the system, which remembers every tree for ever.
    """

    def __init__(self, proc: Proc, root: Chan, qids: QidMap | None = None) -> None:
        self._proc = proc
        self._root = root
        self._qids = qids or proc.system.qids
        self._qid(root)  # the first tree that is exported keeps its own qids

    def _file(self, c: Chan) -> File:
        return File(c, self._qid(c))

    def _qid(self, c: Chan) -> Qid:
        """The qid of what is seen at ``c``, the same as `stat` and `open` will tell."""
        head = self._proc.pgrp.find(c)
        return self._qids.qid(c if head is None else head.mounts[0].to)

    def _is_root(self, c: Chan) -> bool:
        """Was ``c`` reached as the root of the export?"""
        path, top = c.path, self._root.path
        return path.parent is top.parent and path.elem == top.elem

    def attach(self, uname: str, aname: str) -> File:
        """attach(5). ``aname`` is not used: an export has one tree."""
        return self._file(self._root.alias(self._root.path))

    def walk(self, f: File, names: Sequence[str]) -> Soon[Walked]:
        """walk(5): all names, some, or an error for the first one."""
        if not names:
            self._check(f.chan)
            return self._file(f.chan.alias(f.chan.path)), []
        return self._walk(f.chan, iter(names), [])

    def _check(self, c: Chan) -> None:
        """Raise `Ecloned` if the file is gone, as far as its device knows without a message."""
        if not c.dev.remote:
            try:
                walked = c.dev.walk(c, [])
            except OSError:
                raise errors.Ecloned() from None
            if isinstance(walked, CoroutineType):
                walked.close()  # this device would have to wait before it knows

    def _walk(self, c: Chan, names: Iterator[str], qids: list[Qid]) -> Soon[Walked]:
        """Walk on from ``c``; ``qids`` are those of the names before."""
        for name in names:
            if name == ".." and c.same(self._root):
                c = c.alias(c.path)
            else:
                try:
                    found = step(c, name, self._proc.pgrp)
                except OSError:
                    if qids:
                        return None, qids
                    self._check(c)  # it is said if already the directory is gone
                    raise
                if type(found) is not Chan:
                    return self._walk_later(c, found, names, qids)
                c = found
            qids.append(self._qid(c))
        return File(c, qids[-1]), qids

    async def _walk_later(self, c: Chan, found: Maybe[Chan], names: Iterator[str], qids: list[Qid]) -> Walked:
        try:
            c = await settle(found)
        except OSError:
            if qids:
                return None, qids
            self._check(c)
            raise
        qids.append(self._qid(c))
        return await settle(self._walk(c, names, qids))

    def open(self, f: File, mode: int) -> Soon[File]:
        """open(5); what is mounted here is opened, and of a union all members."""
        seen, head = cross(f.chan, self._proc.pgrp)
        opened = open_chan(seen, mode, self._proc.pgrp, head)
        if type(opened) is Chan:
            return self._opened(f, opened)
        return self._open_later(f, opened)

    async def _open_later(self, f: File, opened: Maybe[Chan]) -> File:
        return self._opened(f, await settle(opened))

    def _opened(self, f: File, opened: Chan) -> File:
        if opened.union is not None:
            opened.union.prepare = self._qids.prepare
        elif opened.qid.type & QTDIR:
            self._qids.prepare(opened)
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
        return self._file(await create_in(f.chan, self._proc.pgrp, name, mode, perm))

    def read(self, f: File, count: int, offset: int) -> Soon[bytes]:
        """read(5)."""
        c = f.chan
        if c.qid.type & QTDIR:
            return self._read_directory(c, count, offset)
        data = c.dev.read(c, count, offset)
        return data if type(data) is bytes else soon(data)

    async def _read_directory(self, c: Chan, count: int, offset: int) -> bytes:
        if c.union is None:
            data = await settle(c.dev.read(c, count, offset))
            return self._qids.entries(c, bytes(data))
        data = await c.union.read(count, offset)
        member = c.union.member
        return self._qids.entries(member, data) if member is not None else data

    def write(self, f: File, data: bytes | memoryview, offset: int) -> Soon[int]:
        """write(5). Devices are given what they may keep."""
        c = f.chan
        kept = cast(bytes, data) if c.dev.any_buffer else bytes(data)
        written = c.dev.write(c, kept, offset)
        return written if type(written) is int else soon(written)

    def clunk(self, f: File) -> None:
        """clunk(5)."""
        f.chan.close()

    def remove(self, f: File) -> Soon[None]:
        """remove(5), of what is mounted here; the Session clunks the fid whatever happens."""
        c = self._seen(f)
        return soon(c.dev.remove(c))

    def stat(self, f: File) -> Soon[Dir]:
        """stat(5), of what is mounted here."""
        c = self._seen(f)
        d = c.dev.stat(c)
        if type(d) is Dir:
            return self._dir(c, d)
        return self._stat_later(c, d)

    async def _stat_later(self, c: Chan, d: Maybe[Dir]) -> Dir:
        return self._dir(c, await settle(d))

    def _dir(self, c: Chan, d: Dir) -> Dir:
        """What is told about ``c``: the root is called ``/``, a mount point as what it covers."""
        d = self._qids.dir(c, d)
        if self._is_root(c):
            return Dir(*d[:7], "/", *d[8:])
        if c.path.covered is not None:
            return d._replace(name=c.path.elem)
        return d

    def wstat(self, f: File, d: Dir) -> Soon[None]:
        """wstat(5), of what is mounted here."""
        if d.name or d.qid != _UNTOUCHED.qid:
            return self._wstat_known(f, d)
        c = self._seen(f)
        return soon(c.dev.wstat(c, d))

    async def _wstat_known(self, f: File, d: Dir) -> None:
        """Leave out the name and the qid that `stat` told: the device knows others."""
        known = await settle(self.stat(f))
        if d.qid == known.qid:
            d = d._replace(qid=_UNTOUCHED.qid)
        if d.name == known.name:
            d = d._replace(name="")
        check_element(d.name)
        if d.name and self._is_root(f.chan):
            raise errors.Eperm()
        c = self._seen(f)
        await settle(c.dev.wstat(c, d))

    def _seen(self, f: File) -> Chan:
        """The file that is meant: what is open, or what is mounted here."""
        return f.chan if f.chan.opened else cross(f.chan, self._proc.pgrp)[0]
