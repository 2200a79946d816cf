"""`#M`, mnt(3): a 9P server as a device. What is asked of a Chan becomes messages to its server.

A `Link` is a connection with a server at its end: it puts requests on the wire, lets each caller wait
for its own reply, and tells all of them when the connection is lost. A `Fid` is the server's handle
for a file; a Chan has one as ``aux``, and when the last Chan with it has gone, the server is told in the
background. When no Fid is left, nothing of the server can be seen any more and the connection is
given back.

The rules of the messages are in `nsh.p9.client`, names and mounts in `nsh.kern.namec`. A request that is
cancelled is flushed (flush(5)) and not waited for: tags and fids stay safe until the server has
answered, and a dead server can hold nobody up.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import struct
import threading
from collections import deque
from collections.abc import Callable
from typing import TypeVar

from nsh import errors
from nsh.errors import P9Error, ProtocolError
from nsh.kern.chan import Chan, Path
from nsh.kern.dev import Device
from nsh.kern.namec import quote
from nsh.kern.proc import System
from nsh.kern.stream import stream
from nsh.p9 import msg
from nsh.p9.client import Client, Op
from nsh.p9.const import OCEXEC, QTDIR
from nsh.p9.msg import Rmsg, Tmsg
from nsh.p9.stat import Dir, Qid, unpack_dirs

T = TypeVar("T")

log = logging.getLogger("nsh.mnt")

MSIZE = 65536
"""The message size that is offered to servers, in bytes. With 24 more Inferno's export cannot stat."""

_SIZE = struct.Struct("<H")
_TYPE_DEV = struct.Struct("<HI")

_next_instance = itertools.count(1).__next__


class Link:
    """A connection that speaks 9P to the server at its end."""

    def __init__(self, driver: MntDevice, conn: Chan) -> None:
        self.client = Client(MSIZE)
        self._driver = driver
        self._conn = conn
        self._stream = stream(conn)
        self._waiting: dict[int, tuple[asyncio.Future[Rmsg], Tmsg]] = {}
        self._fids = 0
        self._held = True  # we have a reference to the connection
        self._dead = False
        self._broken = ""  # what was wrong with the server's message
        self._unused: deque[int] = deque()
        self.at_hangup: list[Callable[[], None]] = []
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._stream.start(self)

    @property
    def address(self) -> str:
        """Who is at the other end: a network address, or the name of a file."""
        return self._stream.address

    @property
    def connection(self) -> Chan:
        """The open Chan at whose other end the server is."""
        return self._conn

    async def version(self) -> None:
        """Agree on the protocol. Errors: section 8 of the name space rules has their texts."""
        try:
            await self.run(self.client.version())
        except errors.Emountrpc:
            if self._broken:
                raise P9Error("bad fversion conversion on reply") from None
            if self._dead:
                raise P9Error("EOF receiving fversion reply") from None
            raise P9Error("unexpected reply type in fversion") from None

    async def run(self, op: Op[T]) -> T:
        """Do an operation of the client: send its messages, and give it the replies."""
        try:
            message = next(op)
            while True:
                try:
                    reply = await self._rpc(message)
                except BaseException as e:
                    message = op.throw(e)
                else:
                    message = op.send(reply)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]

    async def _rpc(self, message: Tmsg) -> Rmsg:
        """One request and its reply. Errors: `Emountrpc` when the reply was lost, `Ehungup` later."""
        tag = self.client.send(message)
        waiting: asyncio.Future[Rmsg] = self._loop.create_future()
        self._waiting[tag] = waiting, message
        self._stream.write(self.client.take())
        try:
            return await waiting
        except asyncio.CancelledError:
            if self._waiting.pop(tag, None) is not None:
                self.client.flush(tag)
            elif not waiting.cancelled() and waiting.exception() is None:
                self._undo(message, waiting.result())
            self._stream.write(self.client.take())
            raise

    def _undo(self, message: Tmsg, reply: Rmsg) -> None:
        """The reply came, and at the same moment its caller was cancelled: give back the fid it made."""
        match message, reply:
            case msg.Twalk(fid=fid, newfid=made, wname=names), msg.Rwalk(wqid=qids):
                if fid != made and len(names) == len(qids):
                    self.client.release(made)
            case msg.Tattach(fid=made), msg.Rattach():
                self.client.release(made)

    # --- what the stream calls -----------------------------------------------------------------

    def received(self, data: bytes) -> None:
        if self._dead:
            return
        try:
            replies = self.client.feed(data)
        except ProtocolError as e:
            self._broken = str(e)
            log.warning("%s: %s; connection closed", self._stream.address, e)
            self.hangup()
            return
        for tag, reply in replies:
            waiting, message = self._waiting.pop(tag)
            if waiting.done():  # cancelled, and its caller has not run since
                self._undo(message, reply)
            else:
                waiting.set_result(reply)
        if late := self.client.take():
            self._stream.write(late)

    def lost(self, reason: Exception | None) -> None:
        """The connection is gone: everybody who waits is told, once."""
        if self._dead:
            return
        self._dead = True
        self._driver.forget(self._conn)
        self.client.close()
        waiting, self._waiting = self._waiting, {}
        for future, _ in waiting.values():
            if not future.done():
                future.set_exception(errors.Emountrpc())
        calls, self.at_hangup = self.at_hangup, []
        for call in calls:
            call()

    def hangup(self) -> None:
        """End the connection, whoever still uses it."""
        self._stream.close()
        self.lost(None)

    # --- fids ----------------------------------------------------------------------------------

    def hold(self) -> None:
        """A Fid more."""
        self._fids += 1
        if not self._held:
            self._held = True
            self._conn.incref()

    def drop(self, number: int | None) -> None:
        """A Fid less; ``number`` is to be clunked. May be called while anything else is going on."""
        # the collector runs where it likes: in the middle of a send, or in another thread
        self._unused.append(-1 if number is None else number)
        if len(self._unused) == 1 and not self._loop.is_closed():
            if threading.get_ident() == self._thread:
                self._loop.call_soon(self.clear)
            else:
                self._loop.call_soon_threadsafe(self.clear)

    def clear(self) -> None:
        """Clunk what is not used any more; with the last Fid, give the connection back."""
        while self._unused:
            number = self._unused.popleft()
            self._fids -= 1
            if number >= 0:
                self.client.release(number)
        if self._dead:
            return
        self._stream.write(self.client.take())
        if self._fids == 0:
            self.idle()

    def idle(self) -> None:
        """Nothing is attached. Hang up, unless somebody has the connection open and may mount it again."""
        if self._fids == 0 and self._held and not self._dead:
            self._held = False
            if self._conn.ref == 1:
                self.hangup()
            else:
                self._conn.close()


class Fid:
    """The server's handle for one file; clunked when the last reference to this object is gone."""

    __slots__ = ("_number", "link")

    def __init__(self, link: Link, number: int) -> None:
        self.link = link
        self._number: int | None = number
        link.hold()

    @property
    def number(self) -> int:
        """Errors: `Ehungup` when the file was removed or closed."""
        if self._number is None:
            raise errors.Ehungup()
        return self._number

    def clunk(self) -> None:
        """Give the handle back now."""
        number, self._number = self._number, None
        if number is not None:
            self.link.drop(number)

    def gone(self) -> int:
        """The number, for the message that ends it."""
        number = self.number
        self._number = None
        self.link.drop(None)
        return number

    def __del__(self) -> None:
        if self._number is not None:
            self.link.drop(self._number)


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

    async def connect(self, conn: Chan, uname: str, aname: str) -> Chan:
        """The root of the tree ``aname`` of the server at the other end of the open Chan ``conn``.

        The connection cannot be read or written by others from now on. A second call for the same
        connection attaches again. Errors: the server's, or those of `Link.version`.
        """
        link = self._links.get(id(conn))
        fresh = link is None
        if link is None:
            if conn.mchan is conn:
                raise errors.Ehungup()
            link = self._links[id(conn)] = Link(self, conn.incref())
            conn.mchan = conn
        link.hold()  # as long as we are at it
        try:
            if fresh:
                await link.version()
            number, qid = await link.run(link.client.attach(uname, aname))
            root = Chan(self, qid, Path(None, "#M"), Fid(link, number), _next_instance())
        finally:
            link.drop(None)
        root.mchan = conn
        return root

    def forget(self, conn: Chan) -> None:
        self._links.pop(id(conn), None)

    def hangup(self, root: Chan) -> None:
        """End the connection that ``root`` was mounted from, though it may be in use."""
        fid: Fid = root.aux
        fid.link.hangup()

    def at_hangup(self, c: Chan, call: Callable[[], None]) -> Callable[[], None]:
        """Call ``call`` when the connection to the server of ``c`` is lost; returns what takes that back."""
        fid: Fid = c.aux
        link = fid.link
        link.at_hangup.append(call)

        def forget() -> None:
            if call in link.at_hangup:
                link.at_hangup.remove(call)

        return forget

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
        c.qid, c.iounit = await fid.link.run(fid.link.client.open(fid.number, mode & ~OCEXEC))
        c.mode = mode
        return c

    async def create(self, c: Chan, name: str, mode: int, perm: int) -> Chan:
        fid: Fid = c.aux
        op = fid.link.client.create(fid.number, name, perm, mode & ~OCEXEC)
        c.qid, c.iounit = await fid.link.run(op)
        c.mode = mode
        return c

    async def read(self, c: Chan, count: int, offset: int) -> bytes:
        fid: Fid = c.aux
        data = await fid.link.run(fid.link.client.read(fid.number, min(count, c.iounit), offset))
        return self._entries(c, data) if c.qid.type & QTDIR else data

    async def write(self, c: Chan, data: bytes, offset: int) -> int:
        fid: Fid = c.aux
        return await fid.link.run(fid.link.client.write(fid.number, data, offset))

    def close(self, c: Chan) -> None:
        fid: Fid = c.aux
        fid.clunk()

    async def stat(self, c: Chan) -> Dir:
        fid: Fid = c.aux
        d = await fid.link.run(fid.link.client.stat(fid.number))
        return d._replace(type=ord(self.letter), dev=c.instance)

    async def wstat(self, c: Chan, d: Dir) -> None:
        fid: Fid = c.aux
        await fid.link.run(fid.link.client.wstat(fid.number, d))

    async def remove(self, c: Chan) -> None:
        fid: Fid = c.aux
        if c.shared:  # the root of a mount must survive, if its server lets it
            number, _ = await fid.link.run(fid.link.client.walk(fid.number, []))
            assert number is not None
            fid = Fid(fid.link, number)
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
