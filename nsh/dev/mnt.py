"""`#M`, mnt(3): a 9P server as a device. What is asked of a Chan becomes messages to its server.

A Chan has a `Fid` of its server as ``aux``, and an open one a `Transfer` for its reads and writes; both
speak to the server over the `Link` that all Chans of one connection share. Here the members of a
device are turned into operations of `nsh.p9.client`, and what the server says is checked. Names and mounts
are `nsh.kern.namec`'s business.
"""

from __future__ import annotations

import asyncio
import itertools
import struct
from collections.abc import Callable, Iterator

from nsh import errors
from nsh.dev.mntcache import Cache, CachedFile, cacheable
from nsh.dev.mntio import Transfer
from nsh.dev.mntlink import Fid, Link
from nsh.errors import P9Error
from nsh.kern.chan import Chan, Maybe, Path, settle
from nsh.kern.dev import Device
from nsh.kern.namec import quote
from nsh.kern.proc import System
from nsh.p9.const import OCEXEC, OTRUNC, QTDIR
from nsh.p9.stat import Dir, Qid, unpack_dirs

__all__ = ["Fid", "Link", "MntDevice"]

SOON = 1.0
"""Seconds after which the last Fids of a server that was unmounted are looked for."""
_SIZE = struct.Struct("<H")
_TYPE_DEV = struct.Struct("<HI")

_next_instance = itertools.count(1).__next__


class MntDevice(Device):
    """`#M`: cannot be attached by name, only by mount(2), which calls `connect`."""

    letter, name = "M", "mnt"
    remote = True
    small_qids = False

    def __init__(self, system: System) -> None:
        super().__init__(system)
        self._links: dict[int, Link] = {}  # by the identity of their connection, which they keep alive

    def attach(self, spec: str) -> Chan:
        raise errors.Enoattach()

    async def connect(self, conn: Chan, uname: str, aname: str, cached: bool = False) -> Chan:
        """The root of the tree ``aname`` of the server at the other end of the open Chan ``conn``.

        ``cached``: the data of its files is kept, as `nsh.dev.mntcache` says.
        The connection cannot be read or written by others from now on. A second call for the same
        connection attaches again. Errors: the server's, or those of `Link.version`.
        """
        link = self._links.get(id(conn))
        fresh = link is None
        if link is None:
            if conn.mchan is conn:
                raise errors.Ehungup()
            link = self._links[id(conn)] = Link(conn.incref(), lambda: self._forget(conn))
            conn.mchan = conn
        link.hold()  # as long as we are at it
        try:
            if fresh:
                await link.version()
            number, qid = await link.run(link.client.attach(uname, aname))
            root = Chan(self, qid, Path(None, "#M"), Fid(link, number), _next_instance())
            if cached:
                link.caches[root.instance] = Cache()
        finally:
            link.drop(None)
        root.mchan = conn
        return root

    def _forget(self, conn: Chan) -> None:
        self._links.pop(id(conn), None)

    def hangup(self, root: Chan) -> None:
        """End the connection that ``root`` was mounted from, though it may be in use."""
        fid: Fid = root.aux
        fid.link.hangup()

    def unmounted(self, c: Chan) -> None:
        """Nobody waits any longer for a server that is away, when nothing of it is mounted any more; and who
        only kept it for later lets it go.
        """
        link: Link = c.aux.link
        conn = link.connection
        if conn.dev.away(conn) and not any(self._mounted(link)):
            link.hangup()
        elif c.mchan is not None and not any(mounted.mchan for mounted in self._mounted(link)):
            link.unmounted()
            asyncio.get_running_loop().call_later(SOON, link.collect)

    def _mounted(self, link: Link) -> Iterator[Chan]:
        """What is mounted of a server, in any name space."""
        for group in {p.pgrp for p in self.system.procs.values()}:
            for _, mount in group.mounts():
                if mount.to.dev is self and mount.to.aux.link is link:
                    yield mount.to

    def at_hangup(self, c: Chan, call: Callable[[], None]) -> Callable[[], None]:
        """Call ``call`` when the connection to the server of ``c`` is lost; returns what takes that back."""
        fid: Fid = c.aux
        return _among(fid.link.at_hangup, call)

    def at_unmount(self, c: Chan, call: Callable[[], None]) -> Callable[[], None]:
        """The same when the server of ``c`` is not mounted any more, though files of it may be in use."""
        fid: Fid = c.aux
        return _among(fid.link.at_unmount, call)

    # --- the members of a device ---------------------------------------------------------------

    async def walk(self, c: Chan, names: list[str]) -> tuple[Chan | None, list[Qid]]:
        fid: Fid = c.aux
        link = fid.link
        number, qids = await link.run(link.client.walk(fid.number, names))
        if number is None:
            return None, qids
        return Chan(self, qids[-1] if qids else c.qid, c.path, Fid(link, number), c.instance), qids

    async def open(self, c: Chan, mode: int) -> Chan:
        fid: Fid = c.aux
        opened = await fid.link.run(fid.link.client.open(fid.number, mode & ~OCEXEC))
        if mode & OTRUNC:
            fid.link.changed(opened[0].path)
        await self._find_cached(c, opened[0])
        return self.opened(c, opened, mode)

    async def _find_cached(self, c: Chan, qid: Qid) -> None:
        """What is held of the file that was opened; nothing of a file that is new to its cache."""
        fid: Fid = c.aux
        cache = fid.link.caches.get(c.instance)
        if cache is None or not cacheable(qid):
            return
        fid.cached = cache.find(qid)
        if fid.cached is None:
            try:
                d = await fid.link.run(fid.link.client.stat(fid.number))
            except P9Error:
                return
            fid.cached = cache.enter(qid, d)

    async def create(self, c: Chan, name: str, mode: int, perm: int) -> Chan:
        fid: Fid = c.aux
        op = fid.link.client.create(fid.number, name, perm, mode & ~OCEXEC)
        return self.opened(c, await fid.link.run(op), mode)

    def opened(self, c: Chan, opened: tuple[Qid, int], mode: int) -> Chan:
        """``c``, of which the server has said that it is open."""
        fid: Fid = c.aux
        c.qid, c.iounit = opened
        c.mode = mode
        fid.io = Transfer(fid.link, fid.number, c.qid, c.iounit)
        return c

    def read(self, c: Chan, count: int, offset: int) -> Maybe[bytes]:
        if c.qid.type & QTDIR:
            return self._read_directory(c, count, offset)
        fid: Fid = c.aux
        if fid.cached is None:
            return _transfer(c).read(count, offset)
        data = fid.cached.get(count, offset)
        return data if data is not None else self._read_and_keep(c, fid.cached, count, offset)

    async def _read_and_keep(self, c: Chan, cached: CachedFile, count: int, offset: int) -> bytes:
        data = await settle(_transfer(c).read(count, offset))
        cached.put(data, offset)
        return data

    async def _read_directory(self, c: Chan, count: int, offset: int) -> bytes:
        fid: Fid = c.aux
        data = await fid.link.run(fid.link.client.read(fid.number, min(count, c.iounit), offset))
        return self._entries(c, data)

    def write(self, c: Chan, data: bytes, offset: int) -> Maybe[int]:
        return _transfer(c).write(data, offset)

    def close(self, c: Chan) -> None:
        fid: Fid = c.aux
        if fid.io is not None:
            fid.io.drop()
        fid.clunk()

    async def stat(self, c: Chan) -> Dir:
        fid: Fid = c.aux
        d = await fid.link.run(fid.link.client.stat(fid.number))
        return d._replace(type=ord(self.letter), dev=c.instance)

    async def wstat(self, c: Chan, d: Dir) -> None:
        fid: Fid = c.aux
        fid.link.changed(c.qid.path)
        await fid.link.run(fid.link.client.wstat(fid.number, d))

    async def remove(self, c: Chan) -> None:
        fid: Fid = c.aux
        if c.shared:  # the root of a mount must survive, if its server lets it
            number, _ = await fid.link.run(fid.link.client.walk(fid.number, []))
            assert number is not None
            fid = Fid(fid.link, number)
        fid.link.changed(c.qid.path)
        await fid.link.run(fid.link.client.remove(fid.gone()))

    def _entries(self, c: Chan, data: bytes) -> bytes:
        """Directory entries from the server: checked, and marked as ours. Raises `P9Error`."""
        try:
            for entry in unpack_dirs(data):
                # a name that leads elsewhere would take rm -r and cp -r out of the mount; one that only
                # cannot be walked to, because it has a control character in it, hurts nobody
                if entry.name in ("", ".", "..") or "/" in entry.name:
                    raise errors.Ebadchar(f"{errors.Ebadchar.text}: {quote(entry.name)}")
        except errors.Ebadstat:
            raise P9Error("invalid directory entry received from server") from None
        out = bytearray(data)
        at = 0
        while at < len(out):
            _TYPE_DEV.pack_into(out, at + 2, ord(self.letter), c.instance)
            at += 2 + _SIZE.unpack_from(out, at)[0]
        return bytes(out)


def _among(calls: list[Callable[[], None]], call: Callable[[], None]) -> Callable[[], None]:
    """Put ``call`` among ``calls``; returns what takes it away, if it is still there."""
    calls.append(call)

    def forget() -> None:
        if call in calls:
            calls.remove(call)

    return forget


def _transfer(c: Chan) -> Transfer:
    """How the open Chan ``c`` is read and written. Errors: `Ehungup` when the file was removed or closed."""
    fid: Fid = c.aux
    if fid.io is None or fid.number < 0:
        raise errors.Ehungup()
    return fid.io
